-- How much does each album hold?
SELECT
    coalesce(album, 'none') AS album, coalesce(category, 'none') AS category, kind, count(*) AS files,
    round(sum(duration_s) / 3600, 2) AS hours, round(sum(size_bytes) / 1e9, 3) AS gigabytes
FROM media
GROUP BY ALL
ORDER BY gigabytes DESC, album, category, kind

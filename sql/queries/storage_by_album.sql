-- How much does each album hold? A file of two albums counts in both.
SELECT
    coalesce(a.album, 'none') AS album, m.kind, count(*) AS files,
    round(sum(m.duration_s) / 3600, 2) AS hours, round(sum(m.size_bytes) / 1e9, 3) AS gigabytes
FROM media m
LEFT JOIN album_media a USING (media_id)
GROUP BY ALL
ORDER BY gigabytes DESC, album, m.kind

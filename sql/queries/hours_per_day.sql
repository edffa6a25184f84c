-- How much was shot on which day (UTC)?
SELECT
    date_trunc('day', coalesce(created_utc, modified_utc))::DATE AS day, count(*) AS files,
    round(sum(duration_s) / 3600, 2) AS hours, round(sum(size_bytes) / 1e9, 2) AS gigabytes,
    count(DISTINCT camera_model) AS cameras
FROM media
WHERE kind IN ('video', 'audio', 'image')
GROUP BY ALL
ORDER BY day DESC

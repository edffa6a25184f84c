-- How many hours were shot with which camera?
SELECT
    coalesce(camera_make, 'unknown') AS make, coalesce(camera_model, 'unknown') AS model,
    count(*) AS clips, round(sum(duration_s) / 3600, 2) AS hours, round(sum(size_bytes) / 1e9, 2) AS gigabytes
FROM media
WHERE kind = 'video'
GROUP BY ALL
ORDER BY hours DESC, make, model

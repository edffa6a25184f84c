-- How fast is each clip cut?
SELECT
    name, scenes, round(duration_s, 1) AS seconds, round(60 * scenes / duration_s, 1) AS scenes_per_minute, media_id
FROM media
WHERE kind = 'video' AND scenes > 0 AND duration_s > 0
ORDER BY scenes / duration_s DESC, name
LIMIT 50

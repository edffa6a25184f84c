-- Which are the darkest scenes?
SELECT m.name, s.start_s, s.end_s, round(s.brightness, 3) AS brightness, s.scene_id
FROM scenes s JOIN media m USING (media_id)
WHERE s.brightness IS NOT NULL
ORDER BY s.brightness, s.scene_id
LIMIT 20

-- Which are the longest clips that cannot be searched by what they show yet?
SELECT m.media_id, m.name, m.status, round(m.duration_s / 60, 1) AS minutes, m.failed_stage, m.failed_reason
FROM media m
ANTI JOIN embeddings e ON e.media_id = m.media_id AND e.level = 'l2'
WHERE m.kind IN ('video', 'image')
ORDER BY m.duration_s DESC NULLS LAST, m.name
LIMIT 50

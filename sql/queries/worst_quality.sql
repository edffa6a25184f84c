-- Which clips are technically the worst, and why?
SELECT m.name, round(d.quality, 2) AS quality, array_to_string(d.reasons, ', ') AS reasons, d.description, m.media_id
FROM descriptions d JOIN media m ON m.media_id = d.item_id
WHERE d.quality < 1
ORDER BY d.quality, m.name
LIMIT 100

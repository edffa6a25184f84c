-- Which files are copies of which, and from where in the source?
SELECT
    copy.name AS copy, source.name AS source, round(relations.score, 2) AS score, operations,
    round(other_start_s, 2) AS from_s, round(other_end_s, 2) AS to_s, speed, mirrored, relations.method
FROM relations
JOIN media AS copy ON copy.media_id = relations.media_id
JOIN media AS source ON source.media_id = relations.other_id
WHERE relation = 'derived_from'
ORDER BY source.name, copy.name

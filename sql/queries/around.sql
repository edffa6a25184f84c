-- Which files are within two steps of each other, and by what relations?
WITH RECURSIVE near AS (
    SELECT media_id, other_id, [relation] AS path, 1 AS steps FROM relatives
    UNION
    SELECT near.media_id, next.other_id, list_append(near.path, next.relation), 2
    FROM near JOIN relatives AS next ON next.media_id = near.other_id
    WHERE near.steps = 1 AND next.other_id <> near.media_id
)
SELECT one.name AS file, other.name AS related, min(near.steps) AS steps, list_distinct(list(near.path)) AS ways
FROM near
JOIN media AS one ON one.media_id = near.media_id
JOIN media AS other ON other.media_id = near.other_id
GROUP BY ALL
ORDER BY file, steps, related
LIMIT 500

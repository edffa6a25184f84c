-- What was each copy made of in the end, over however many copies of copies?
WITH RECURSIVE made AS (
    SELECT media_id, other_id, 1 AS steps FROM relations WHERE relation = 'derived_from'
    UNION
    SELECT made.media_id, further.other_id, made.steps + 1
    FROM made JOIN relations AS further ON further.media_id = made.other_id AND further.relation = 'derived_from'
    WHERE made.steps < 8
)
SELECT copy.name AS copy, source.name AS origin, min(made.steps) AS steps
FROM made
JOIN media AS copy ON copy.media_id = made.media_id
JOIN media AS source ON source.media_id = made.other_id
WHERE made.other_id NOT IN (SELECT media_id FROM relations WHERE relation = 'derived_from')
GROUP BY ALL
ORDER BY origin, copy

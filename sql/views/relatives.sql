-- The relations of each file, seen from it: every pair twice, once from either side.
-- Columns from: relations
-- media_id: The file.
-- other_id: What it has to do with.
-- direction: copy of other_id, source of other_id, or both alike.
SELECT
    media_id, other_id, relation, if(relation = 'derived_from', 'copy', 'both') AS direction, score, method,
    start_s, end_s, other_start_s, other_end_s, offset_s, speed, mirrored, part, operations, recipe
FROM relations
UNION ALL
SELECT
    other_id, media_id, relation, if(relation = 'derived_from', 'source', 'both'), score, method,
    other_start_s, other_end_s, start_s, end_s, -offset_s / speed, 1 / speed, mirrored, part, operations, recipe
FROM relations

-- Every tag that a medium has from people, sidecars and files, and the tags above it: one row for each.
-- Columns from: tag_marks, vocabulary
-- tag: The tag, or one above it: place/city/paris gives place and place/city too.
-- given: The tag as it was given.
-- source: folder, embedded (the file itself), sidecar or person.
SELECT k.media_id, v.tag, g.tag AS given, k.source
FROM (
    SELECT media_id, tag_key, source, unnest(generate_series(1, len(string_split(tag_key, '/')))) AS depth
    FROM ledger.tag_marks WHERE NOT removed
) k
JOIN ledger.vocabulary g ON g.tag_key = k.tag_key
JOIN ledger.vocabulary v ON v.tag_key = array_to_string(string_split(k.tag_key, '/')[1:k.depth], '/')

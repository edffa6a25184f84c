-- The tags there are, with their synonyms and how many media carry them.
-- Columns from: vocabulary
-- synonyms: Other words that find it and mean it.
-- media: Media that carry it or a tag below it.
SELECT v.tag, coalesce(s.synonyms, []) AS synonyms, v.is_free, coalesce(m.media, 0) AS media, v.created_utc, v.created_by
FROM ledger.vocabulary v
LEFT JOIN (SELECT tag_key, list(synonym ORDER BY synonym) AS synonyms FROM ledger.synonyms GROUP BY tag_key) s
    ON s.tag_key = v.tag_key
LEFT JOIN (SELECT tag, count(DISTINCT media_id) AS media FROM curated_tags GROUP BY tag) m ON m.tag = v.tag

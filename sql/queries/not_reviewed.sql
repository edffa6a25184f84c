-- What has nobody decided on yet? The longest waiting comes first.
SELECT c.state, m.first_seen_utc, m.batch_id, c.name, c.rating, c.media_id
FROM curation c
JOIN media m USING (media_id)
WHERE c.state IN ('new', 'in_review')
ORDER BY m.first_seen_utc, c.name

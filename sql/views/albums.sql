-- Albums: how much is in each.
-- Columns from: albums
-- files: Files in it, sidecars not counted.
-- duration_s: How long they are together.
-- size_bytes: Their size.
SELECT
    b.album, count(m.media_id) AS files, coalesce(sum(m.duration_s), 0) AS duration_s,
    coalesce(sum(m.size_bytes), 0)::BIGINT AS size_bytes, b.created_utc, b.created_by
FROM ledger.albums b
LEFT JOIN ledger.album_marks k ON k.album_key = b.album_key AND NOT k.removed
LEFT JOIN media m ON m.media_id = k.media_id AND m.status <> 'sidecar'
GROUP BY b.album, b.created_utc, b.created_by

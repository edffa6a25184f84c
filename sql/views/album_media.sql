-- Which media are in which albums, sidecars not counted.
-- Columns from: albums, album_marks, media
-- source: folder: it came that way; person: somebody put it there.
SELECT b.album, k.media_id, m.name, m.kind, k.source
FROM ledger.album_marks k
JOIN ledger.albums b ON b.album_key = k.album_key
JOIN media m ON m.media_id = k.media_id AND m.status <> 'sidecar'
WHERE NOT k.removed

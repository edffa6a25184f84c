-- What people say of every file of the library but sidecars, with its tags and albums; the defaults where nothing is said.
-- Columns from: curation, media
-- people: Who is in it.
-- releases: Model and property releases there are.
-- tags: Tags that people, sidecars and files gave it; those that a machine found are in view tags.
-- albums: Albums it is in.
-- version: Number of the change that made it so, over the whole library; 0: nothing was ever said.
SELECT
    m.media_id, m.name, c.rating, c.pick, coalesce(c.state, 'new') AS state, c.label, c.title, c.description,
    coalesce(from_json(c.people, '["VARCHAR"]'), []) AS people, coalesce(t.tags, []) AS tags,
    coalesce(a.albums, []) AS albums, c.licence, c.owner,
    coalesce(from_json(c.releases, '["VARCHAR"]'), []) AS releases, c.rights_expire, c.sources,
    coalesce(c.version, 0) AS version, c.changed_utc, c.changed_by
FROM media m
LEFT JOIN ledger.curation c ON c.media_id = m.media_id
LEFT JOIN (
    SELECT k.media_id, list(v.tag ORDER BY v.tag) AS tags
    FROM ledger.tag_marks k JOIN ledger.vocabulary v ON v.tag_key = k.tag_key
    WHERE NOT k.removed GROUP BY k.media_id
) t ON t.media_id = m.media_id
LEFT JOIN (
    SELECT k.media_id, list(b.album ORDER BY b.album) AS albums
    FROM ledger.album_marks k JOIN ledger.albums b ON b.album_key = k.album_key
    WHERE NOT k.removed GROUP BY k.media_id
) a ON a.media_id = m.media_id
WHERE m.status <> 'sidecar'

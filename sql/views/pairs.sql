-- Files that belong together as a phone exports them: a Live Photo's picture and film, an original and its edit, a file and its .AAE.
-- kind: live_photo (picture and film), edited (original and its edit, IMG_1234 and IMG_E1234), adjustments (file and its .AAE).
-- media_id: The picture of a Live Photo; the original of an edit; the file that adjustments are of.
-- name: Its name.
-- other_id: The film of a Live Photo; the edit; the .AAE.
-- other_name: Its name.
-- said_by: content identifier: both carry the same; name: they lie in one folder and their names say so.
WITH files AS (
    SELECT DISTINCT
        l.media_id, l.name, m.kind, m.duration_s, m.content_identifier,
        regexp_replace(l.source_path, '[^/]*$', '') AS place,
        lower(regexp_replace(l.name, '\.[^.]*$', '')) AS stem,
        lower(regexp_extract(l.name, '\.([^.]*)$', 1)) AS extension
    FROM facts.locations l JOIN media m ON m.media_id = l.media_id
),
named AS (SELECT *, regexp_matches(stem, '^img_e[0-9]+$') AS is_edit FROM files),
pictures AS (FROM named WHERE kind = 'image' AND extension IN ('heic', 'heif', 'jpg', 'jpeg', 'dng')),
films AS (FROM named WHERE kind = 'video' AND extension = 'mov')
SELECT
    kind, media_id, min(name) AS name, other_id, min(other_name) AS other_name, min(said_by) AS said_by
FROM (
    SELECT 'live_photo' AS kind, p.media_id, p.name, f.media_id AS other_id, f.name AS other_name,
        'content identifier' AS said_by
    FROM pictures p JOIN films f ON f.content_identifier = p.content_identifier AND f.is_edit = p.is_edit
    UNION ALL
    -- A Live Photo's film is some seconds long; a longer one of the same name is a film of its own.
    SELECT 'live_photo', p.media_id, p.name, f.media_id, f.name, 'name'
    FROM pictures p JOIN films f ON f.place = p.place AND f.stem = p.stem
    WHERE f.duration_s < 10 AND coalesce(f.content_identifier = p.content_identifier, true)
    UNION ALL
    SELECT 'edited', o.media_id, o.name, e.media_id, e.name, 'name'
    FROM named o JOIN named e ON e.place = o.place AND e.kind = o.kind AND e.stem = replace(o.stem, 'img_', 'img_e')
    WHERE e.is_edit AND o.kind IN ('image', 'video')
    UNION ALL
    SELECT 'adjustments', o.media_id, o.name, a.media_id, a.name, 'name'
    FROM named o JOIN named a ON a.place = o.place AND a.stem = o.stem
    WHERE a.extension = 'aae' AND o.kind IN ('image', 'video')
)
GROUP BY kind, media_id, other_id

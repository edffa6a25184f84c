-- Every vector the library has, without the vector itself: of files (l0), frames (l1) and scenes (l2). See vectors.
-- Columns from: embeddings_l2
-- level: l0 a file, l1 a frame, l2 a scene.
-- item_id: media_id, frame_id or scene_id.
-- start_s: Start in the clip; of a frame its time; null for a whole file.
-- end_s: End in the clip, not included; of a frame its time; null for a whole file.
SELECT media_id, batch_id, 'l0' AS level, media_id AS item_id, space, dimensions,
    NULL::DOUBLE AS start_s, NULL::DOUBLE AS end_s, recipe
FROM facts.embeddings_l0
UNION ALL
SELECT media_id, batch_id, 'l1', frame_id, space, dimensions, time_s, time_s, recipe FROM facts.embeddings_l1
UNION ALL
SELECT media_id, batch_id, 'l2', scene_id, space, dimensions, start_s, end_s, recipe FROM facts.embeddings_l2

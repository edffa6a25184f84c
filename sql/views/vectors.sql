-- The vectors themselves. They are read from one file a batch: name a batch_id, or expect to wait in a large library.
-- Columns from: embeddings_l2
-- level: l0 a file, l1 a frame, l2 a scene.
-- item_id: media_id, frame_id or scene_id.
SELECT media_id, batch_id, 'l0' AS level, media_id AS item_id, space, vector FROM facts.embeddings_l0_vectors
UNION ALL
SELECT media_id, batch_id, 'l1', frame_id, space, vector FROM facts.embeddings_l1_vectors
UNION ALL
SELECT media_id, batch_id, 'l2', scene_id, space, vector FROM facts.embeddings_l2_vectors

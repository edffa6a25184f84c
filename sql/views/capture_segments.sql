-- Segments that the recorder committed, as their manifests tell of them, each once.
-- Columns from: capture_segments
SELECT * FROM facts.capture_segments
QUALIFY row_number() OVER (PARTITION BY session_id, camera_id, segment_index ORDER BY batch_id) = 1

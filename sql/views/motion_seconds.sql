-- What the camera and what is before it do in each second of a clip.
-- Columns from: motion_seconds
SELECT * FROM facts.motion_seconds

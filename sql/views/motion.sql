-- What the camera and what is before it do in each clip, most of the time.
-- Columns from: motion
SELECT * FROM facts.motion

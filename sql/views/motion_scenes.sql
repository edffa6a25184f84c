-- What the camera and what is before it do in each scene of a clip.
-- Columns from: motion_scenes
SELECT * FROM facts.motion_scenes

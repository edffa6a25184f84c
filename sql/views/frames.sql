-- Frames taken about one a second, with sharpness, brightness, colours and motion.
-- Columns from: frames
SELECT * FROM facts.frames

-- Where a clip is silent, where somebody speaks and where there is music.
-- Columns from: audio_ranges
SELECT * FROM facts.audio_ranges

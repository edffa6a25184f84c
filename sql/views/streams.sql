-- Every stream of every media file.
-- Columns from: streams
SELECT * FROM facts.streams

-- What is said in each clip with sound, as a whole.
-- Columns from: transcripts
SELECT * FROM facts.transcripts

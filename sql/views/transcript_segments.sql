-- Each subtitle: what is said, and when.
-- Columns from: transcript_segments
SELECT * FROM facts.transcript_segments

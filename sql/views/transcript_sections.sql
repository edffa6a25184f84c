-- Stretches of a clip in which one subject is spoken of.
-- Columns from: transcript_sections
SELECT * FROM facts.transcript_sections

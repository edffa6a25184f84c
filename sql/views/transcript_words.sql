-- Each word and when it is said.
-- Columns from: transcript_words
SELECT * FROM facts.transcript_words

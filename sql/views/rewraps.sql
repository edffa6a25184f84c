-- Recordings as one file for editors, made on request; path is relative to the media store.
-- Columns from: rewraps
SELECT * FROM facts.rewraps

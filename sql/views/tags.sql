-- Words a machine gave to scenes and files, how sure it was and how it came to them.
-- Columns from: tags
SELECT * FROM facts.tags

-- One line for each scene and file, made of what was measured, and its technical quality with what lowers it.
-- Columns from: descriptions
SELECT * FROM facts.descriptions

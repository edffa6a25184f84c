-- Every path at which a content is or was found; a duplicate adds a row here and nothing elsewhere.
-- Columns from: locations
SELECT * FROM facts.locations

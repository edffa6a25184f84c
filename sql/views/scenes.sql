-- Scenes of every clip: where they begin and end, how, and how bright and moving they are.
-- Columns from: scenes
SELECT * FROM facts.scenes

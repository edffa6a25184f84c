-- Recordings of one group on one time line: where each lies in the one of another camera that it overlaps most.
-- Columns from: syncs
SELECT * FROM facts.syncs

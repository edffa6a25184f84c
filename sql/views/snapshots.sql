-- Every snapshot that was taken of the library, those that retention removed included.
-- Columns from: snapshots
SELECT * FROM ledger.snapshots

-- Every watched folder and whether it can be reached.
-- Columns from: folders
SELECT * FROM ledger.folders

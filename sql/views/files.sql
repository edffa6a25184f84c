-- Every file seen in a watched folder and what became of it.
-- Columns from: files
SELECT * FROM ledger.files

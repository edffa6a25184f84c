-- Every re-reading of a target or of the originals, and every restore drill, with what it found.
-- Columns from: audits
SELECT * FROM ledger.audits

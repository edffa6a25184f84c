-- Every change of what is said of media: who made what of what, and when.
-- Columns from: curation_history
SELECT * FROM ledger.curation_history

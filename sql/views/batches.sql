-- Every batch: when it was made, how it went and how long it took.
-- Columns from: batches
-- elapsed_s: Seconds from its claim to its end; null while it is not finished.
SELECT *, epoch(finished_utc - created_utc) AS elapsed_s FROM ledger.batches

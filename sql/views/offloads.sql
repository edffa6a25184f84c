-- Every offload of a card, a row for each destination, with the verdict.
-- Columns from: offloads
SELECT * FROM ledger.offloads

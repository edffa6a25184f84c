-- Pairs of files that have to do with each other, each pair once for each way in which they do.
-- Columns from: relations
SELECT * FROM facts.relations
-- Both files of a pair may have found it, in batches of their own: the row of the later batch stands.
QUALIFY row_number() OVER (PARTITION BY media_id, other_id, relation ORDER BY batch_id DESC) = 1

-- Every file that a stage could not do, why, and what to do about it.
-- Columns from: probes_failures
SELECT * FROM facts.raw_media_failures
UNION ALL SELECT * FROM facts.probes_failures
UNION ALL SELECT * FROM facts.embeddings_l0_failures
UNION ALL SELECT * FROM facts.proxies_failures
UNION ALL SELECT * FROM facts.embeddings_l1_failures
UNION ALL SELECT * FROM facts.embeddings_l2_failures

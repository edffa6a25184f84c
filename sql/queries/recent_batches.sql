-- How did the last batches go, and how long did they take?
SELECT
    b.batch_id, b.state, b.created_utc, round(b.elapsed_s, 1) AS seconds, b.files, round(b.bytes / 1e9, 3) AS gigabytes,
    coalesce(f.failed, 0) AS failed, round(b.bytes / 1e6 / nullif(b.elapsed_s, 0), 1) AS megabytes_per_second, b.root
FROM batches b
LEFT JOIN (SELECT batch_id, count(DISTINCT subject) AS failed FROM failures GROUP BY batch_id) f USING (batch_id)
ORDER BY b.created_utc DESC
LIMIT 20

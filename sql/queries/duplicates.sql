-- Which files are there more than once, and how many bytes do the repeats take?
SELECT
    media_id, min_by(name, verified_utc) AS name, count(DISTINCT source_path) AS copies,
    round((count(DISTINCT source_path) - 1) * max(size_bytes) / 1e9, 3) AS gigabytes_wasted,
    list(DISTINCT source_path) AS paths
FROM locations
GROUP BY media_id
HAVING count(DISTINCT source_path) > 1
ORDER BY (count(DISTINCT source_path) - 1) * max(size_bytes) DESC, name

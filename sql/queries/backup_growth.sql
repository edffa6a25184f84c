-- How much do backups grow a month, by target?
SELECT target, date_trunc('month', started_utc) AS month, count(*) AS snapshots, sum(new_files)::BIGINT AS new_files,
    round(sum(new_bytes) / 1e9, 3) AS new_gb
FROM snapshots
GROUP BY ALL
ORDER BY month, target

-- What failed and why?
SELECT
    stage, reason, any_value(next_step) AS next_step, count(*) AS files, max(failed_utc) AS last_utc,
    list(path ORDER BY path)[:5] AS some_paths
FROM failures
GROUP BY stage, reason
ORDER BY files DESC, stage, reason

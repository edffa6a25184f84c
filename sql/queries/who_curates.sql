-- Who says how much of what, month by month?
SELECT
    date_trunc('month', changed_utc)::DATE AS month, changed_by, field, count(*) AS changes,
    count(DISTINCT media_id) AS media
FROM curation_history
WHERE source = 'person'
GROUP BY ALL
ORDER BY month DESC, changes DESC, changed_by, field

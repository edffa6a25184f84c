-- How much of each day's footage was picked, rejected and rated well?
SELECT
    coalesce(m.created_utc, m.modified_utc)::DATE AS day, count(*) AS files,
    count(*) FILTER (c.pick = 'pick') AS picks, count(*) FILTER (c.pick = 'reject') AS rejects,
    count(*) FILTER (c.rating >= 4) AS four_stars_or_more
FROM curation c
JOIN media m USING (media_id)
GROUP BY day
ORDER BY day

-- Which copies have not been re-read since they were made, or are known to be damaged or missing?
SELECT c.target, c.name, c.media_id, c.state, c.reason, c.size_bytes, c.verified_utc
FROM copies c
LEFT JOIN (SELECT target, min(finished_utc) AS first_utc FROM audits WHERE kind <> 'drill' GROUP BY target) a
    ON a.target = c.target
WHERE c.state <> 'verified' OR a.first_utc IS NULL OR c.verified_utc IS NULL OR c.verified_utc < a.first_utc
ORDER BY c.state, c.target, c.name

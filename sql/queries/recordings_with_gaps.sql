-- Which recordings have gaps, missing segments or dropped frames, and how much of the clock is covered?
SELECT
    group_id, camera_name, session_id, start_utc, end_utc, round(recorded_s, 2) AS recorded_s,
    round(missing_s, 2) AS missing_s, gap_before_s, missing_segments, dropped, round(coverage, 5) AS coverage, reason_end
FROM capture_sessions
WHERE missing_s > 0.1 OR gap_before_s > 0.1 OR missing_segments > 0 OR dropped > 0 OR NOT complete
ORDER BY start_utc DESC

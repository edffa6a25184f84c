-- Recorded sessions, one row for each unbroken run of a camera: what is there, what is missing, how the clock was covered.
-- A recording that was interrupted is several sessions of one group_id; gap_before_s is what the break took.
-- Columns from: capture_segments
-- segments: Segments that are here.
-- missing_segments: Segments that are not here, though later ones are.
-- start_utc: When the first frame that is here was taken.
-- end_utc: When the last frame that is here ended.
-- finished: True when the last segment is here; false while it records, and when its end was lost.
-- complete: True when no segment was cut off.
-- reason_end: Why it ended; null while its last segment is not here.
-- gap_before_s: Seconds missing between the session before and this one; null when nothing was interrupted.
-- recorded_s: Seconds of footage that are here.
-- wall_s: Seconds from start_utc to end_utc.
-- missing_s: Seconds missing between start_utc and end_utc, dropped frames left out.
-- coverage: Share of wall_s that is here, 0 to 1.
-- size_bytes: Size of its segments.
WITH segments AS (
    SELECT *, lag(segment_index) OVER session AS index_before, lag(end_utc) OVER session AS end_before
    FROM capture_segments
    WINDOW session AS (PARTITION BY session_id, camera_id ORDER BY segment_index)
)
SELECT
    session_id, camera_id, any_value(camera_name) AS camera_name, any_value(group_id) AS group_id,
    any_value(role) AS role, any_value(host) AS host, any_value(take_id) AS take_id,
    min(start_utc) AS start_utc, max(end_utc) AS end_utc,
    count(*)::INTEGER AS segments, (max(segment_index) + 1 - count(*))::INTEGER AS missing_segments,
    bool_or(is_last) AS finished, bool_and(complete) AS complete,
    any_value(reason_end) FILTER (is_last) AS reason_end,
    sum(frames)::BIGINT AS frames, sum(dropped)::BIGINT AS dropped, sum(duplicated)::BIGINT AS duplicated,
    any_value(gap_before_s) FILTER (segment_index = 0) AS gap_before_s,
    sum(duration_s) AS recorded_s, epoch(max(end_utc) - min(start_utc)) AS wall_s,
    sum(CASE
        WHEN index_before IS NULL THEN 0
        WHEN segment_index = index_before + 1 THEN coalesce(gap_before_s, 0)
        ELSE greatest(0, epoch(start_utc - end_before))
    END) AS missing_s,
    least(1, sum(duration_s) / nullif(epoch(max(end_utc) - min(start_utc)), 0)) AS coverage,
    sum(size_bytes)::BIGINT AS size_bytes
FROM segments
GROUP BY session_id, camera_id

-- Which frame sizes and rates are there? More than one in a project means conforming.
SELECT
    display_width, display_height, frame_rate, round(frame_rate_fps, 3) AS fps, is_vfr, interlace,
    count(*) AS clips, round(sum(duration_s) / 3600, 2) AS hours
FROM media
WHERE kind = 'video'
GROUP BY ALL
ORDER BY clips DESC, display_width, display_height, fps

-- Which proxies took longest to make, for the length of the clip?
SELECT
    m.name, round(p.elapsed_s, 1) AS seconds, round(p.elapsed_s / p.source_duration_s, 2) AS seconds_per_second,
    m.video_codec, m.display_width, m.display_height, m.media_id
FROM proxies p JOIN media m USING (media_id)
WHERE p.source_duration_s > 0
ORDER BY p.elapsed_s / p.source_duration_s DESC, m.name
LIMIT 20

-- Which codecs, profiles and containers are there, and how much of each?
SELECT
    kind, container, video_codec, video_profile, bit_depth, audio_codec,
    count(*) AS files, round(sum(duration_s) / 3600, 2) AS hours, round(sum(size_bytes) / 1e9, 2) AS gigabytes,
    round(avg(bit_rate_bps) / 1e6, 1) AS megabits_per_second
FROM media
WHERE container IS NOT NULL
GROUP BY ALL
ORDER BY files DESC, kind, container, video_codec, video_profile, bit_depth, audio_codec

-- Which clips have no sound, or nothing to hear in it?
SELECT
    name, CASE WHEN has_audio THEN 'silent' ELSE 'no sound stream' END AS sound, loudness_lufs,
    round(duration_s, 1) AS seconds, media_id
FROM media
WHERE kind = 'video' AND (NOT has_audio OR loudness_lufs <= -60)
ORDER BY sound, name

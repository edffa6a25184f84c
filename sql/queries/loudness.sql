-- Which clips are too loud or too quiet for broadcast (EBU R 128: -23 LUFS, give or take 1)?
SELECT
    name, round(loudness_lufs, 1) AS lufs, round(-23 - loudness_lufs, 1) AS gain_db,
    CASE WHEN loudness_lufs > -22 THEN 'too loud' ELSE 'too quiet' END AS verdict, media_id
FROM media
WHERE loudness_lufs IS NOT NULL AND loudness_lufs NOT BETWEEN -24 AND -22
ORDER BY abs(loudness_lufs + 23) DESC, name

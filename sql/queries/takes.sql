-- Which recordings did a camera split into chapters?
SELECT
    take_id, list(name ORDER BY chapter) AS chapters, count(*) AS files, round(sum(duration_s) / 60, 1) AS minutes,
    count(DISTINCT chapter) < max(chapter) - min(chapter) + 1 AS chapter_missing,
    count(*) > count(DISTINCT chapter) AS chapter_twice
FROM media
WHERE take_id IS NOT NULL
GROUP BY take_id
ORDER BY min(created_utc) DESC, take_id

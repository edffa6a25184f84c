-- What is shown most?
SELECT tag, count(DISTINCT item_id) AS scenes_or_files, count(DISTINCT media_id) AS files, round(avg(score), 2) AS score
FROM tags
GROUP BY tag
ORDER BY scenes_or_files DESC, tag

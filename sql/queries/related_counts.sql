-- How many relations of each kind are there, said by what?
SELECT relation, method, count(*) AS pairs, round(min(score), 2) AS least, round(median(score), 2) AS usual
FROM relations
GROUP BY ALL
ORDER BY pairs DESC

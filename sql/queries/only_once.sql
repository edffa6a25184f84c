-- What exists only once: originals with no more than one verified copy anywhere, the largest first?
SELECT media_id, any_value(name) AS name, any_value(size_bytes) AS size_bytes,
    coalesce(max(target) FILTER (WHERE state = 'verified'), 'nowhere') AS where_it_is
FROM copies
GROUP BY media_id
HAVING count(*) FILTER (WHERE state = 'verified') <= 1
ORDER BY size_bytes DESC, media_id

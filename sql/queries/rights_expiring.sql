-- Which files may be used no more soon, or already? The first to expire comes first.
SELECT rights_expire, rights_expire - current_date AS days_left, name, licence, owner, state, media_id
FROM curation
WHERE rights_expire <= current_date + 30
ORDER BY rights_expire, name

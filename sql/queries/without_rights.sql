-- What is approved without a licence, an owner, or a release for the people in it?
SELECT name, licence, owner, len(people) AS people, len(releases) AS releases, media_id
FROM curation
WHERE state = 'approved' AND (licence IS NULL OR owner IS NULL OR (len(people) > 0 AND len(releases) = 0))
ORDER BY name

-- Which originals are only at their source, not in the media store, and when were they last verified?
SELECT name, path, verified_utc, round(size_bytes / 1e9, 3) AS gigabytes, media_id
FROM locations
WHERE NOT in_store
ORDER BY verified_utc, path

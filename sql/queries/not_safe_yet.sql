-- Which files are not in the library yet, or in a folder that cannot be reached?
SELECT
    f.root, f.rel_path, f.state, f.reason, f.size_bytes, f.first_seen_utc,
    CASE WHEN d.online = false THEN 'folder is offline: ' || d.message END AS folder
FROM files f
LEFT JOIN folders d ON d.path = f.root
WHERE f.state NOT IN ('done', 'gone') OR d.online = false
ORDER BY f.first_seen_utc, f.root, f.rel_path

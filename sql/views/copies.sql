-- Every place where the content of an original is kept, the library itself first, and when it was last proven there.
-- Columns from: copies, media
-- target: library, or the backup target's name.
-- volume: What it shares its fate with; targets of one volume can be lost together.
-- offsite: True when it is in another building.
-- state: verified, damaged or missing, as the last reading found it.
-- reason: What is wrong with it; empty when nothing is.
-- verified_utc: When it was last read back there and equalled its hash.
SELECT
    m.media_id, m.name, 'library' AS target, 'library' AS volume, false AS offsite, m.size_bytes, m.blake3,
    coalesce(c.state, 'verified') AS state, coalesce(c.reason, '') AS reason,
    greatest(c.verified_utc, l.verified_utc) AS verified_utc
FROM media m
LEFT JOIN (
    SELECT media_id, min(verified_utc) AS verified_utc FROM facts.locations WHERE NOT duplicate GROUP BY media_id
) l ON l.media_id = m.media_id
LEFT JOIN ledger.copies c ON c.target_id = 'library' AND c.blake3 = m.blake3
UNION ALL
SELECT
    c.media_id, m.name, t.target, t.volume, t.offsite, c.size_bytes, c.blake3, c.state, c.reason, c.verified_utc
FROM ledger.copies c
JOIN ledger.targets t ON t.target_id = c.target_id
LEFT JOIN media m ON m.media_id = c.media_id
WHERE c.media_id IS NOT NULL

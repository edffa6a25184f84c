-- Every file that a stage could not do, why, and what to do about it. One whose path was taken since is left out.
-- Columns from: probes_failures
SELECT * FROM facts.raw_media_failures
WHERE NOT EXISTS (
    FROM facts.locations AS taken
    WHERE taken.source_path = raw_media_failures.path AND taken.verified_utc > raw_media_failures.failed_utc
)
UNION ALL SELECT * FROM facts.probes_failures
UNION ALL SELECT * FROM facts.embeddings_l0_failures
UNION ALL SELECT * FROM facts.proxies_failures
UNION ALL SELECT * FROM facts.audio_failures
UNION ALL SELECT * FROM facts.transcripts_failures
UNION ALL SELECT * FROM facts.motion_failures
UNION ALL SELECT * FROM facts.sync_failures
UNION ALL SELECT * FROM facts.embeddings_l1_failures
UNION ALL SELECT * FROM facts.embeddings_l2_failures
UNION ALL SELECT * FROM facts.fingerprints_failures

-- Every content once, with what is known of it: probe facts, proxy, first place, scenes.
-- Everything of a content is in the batch that brought it, so this is a union over batches.
-- Columns from: media, probes, proxies, locations
-- kind: What the file turned out to be: video, audio, image; before it is probed, what its name and signature say; sidecar, unknown.
-- status: stored, probed, proxied, ready (has its proxy, and its scenes when it has pictures), failed (see failures), sidecar (kept, nothing to do).
-- scenes: Scenes found in it.
-- failed_stage: Stage that failed on it, the first in the order of work; null when none did.
-- failed_reason: Why that stage failed.
SELECT
    m.media_id, m.batch_id, m.name, coalesce(p.kind, m.kind) AS kind,
    CASE
        WHEN f.stage IS NOT NULL THEN 'failed'
        WHEN m.kind = 'sidecar' THEN 'sidecar'
        WHEN x.media_id IS NOT NULL AND (p.kind = 'audio' OR s.scenes > 0) THEN 'ready'
        WHEN x.media_id IS NOT NULL THEN 'proxied'
        WHEN p.media_id IS NOT NULL THEN 'probed'
        ELSE 'stored'
    END AS status,
    l.album, l.category, l.folder, m.size_bytes, m.first_seen_utc, l.path, l.in_store, l.source_path, l.modified_utc,
    p.container, p.duration_s, p.bit_rate_bps, p.video_codec, p.video_profile, p.pixel_format, p.bit_depth,
    p.display_width, p.display_height, p.rotation_deg, p.frame_rate, p.frame_rate_fps, p.is_vfr, p.hdr, p.log_profile,
    p.interlace, p.timecode, p.created_utc, p.camera_make, p.camera_model, p.camera_serial, p.content_identifier,
    p.latitude_deg, p.longitude_deg,
    p.has_audio, p.audio_codec, p.audio_channels, p.audio_rate_hz,
    x.loudness_lufs, x.proxy_path, x.poster_path, coalesce(s.scenes, 0) AS scenes,
    l.card_id, l.card_type, l.take_id, l.chapter, f.stage AS failed_stage, f.reason AS failed_reason,
    m.blake3, m.xxh128
FROM facts.media m
LEFT JOIN (
    SELECT * FROM facts.locations
    QUALIFY row_number() OVER (PARTITION BY batch_id, media_id ORDER BY duplicate, source_path) = 1
) l ON l.media_id = m.media_id AND l.batch_id = m.batch_id
LEFT JOIN facts.probes p ON p.media_id = m.media_id
LEFT JOIN facts.proxies x ON x.media_id = m.media_id
LEFT JOIN (SELECT media_id, count(*)::INTEGER AS scenes FROM facts.scenes GROUP BY media_id) s
    ON s.media_id = m.media_id
LEFT JOIN (
    SELECT media_id, min_by(stage, place) AS stage, min_by(reason, place) AS reason
    FROM (
        SELECT media_id, stage, reason, 1 AS place FROM facts.probes_failures
        UNION ALL SELECT media_id, stage, reason, 2 FROM facts.embeddings_l0_failures
        UNION ALL SELECT media_id, stage, reason, 3 FROM facts.proxies_failures
        UNION ALL SELECT media_id, stage, reason, 4 FROM facts.audio_failures
        UNION ALL SELECT media_id, stage, reason, 5 FROM facts.embeddings_l1_failures
        UNION ALL SELECT media_id, stage, reason, 6 FROM facts.embeddings_l2_failures
        UNION ALL SELECT media_id, stage, reason, 7 FROM facts.fingerprints_failures
        UNION ALL SELECT media_id, stage, reason, 8 FROM facts.sync_failures
        UNION ALL SELECT media_id, stage, reason, 9 FROM facts.motion_failures
        UNION ALL SELECT media_id, stage, reason, 10 FROM facts.transcripts_failures
    )
    WHERE media_id IS NOT NULL
    GROUP BY media_id
) f ON f.media_id = m.media_id

-- Every file as people browse the library: what the view media says, with what filters go by in one word each.
-- Columns from: media, probes, proxies, locations
-- scenes: Scenes found in it.
-- has_proxy: True when its proxy and poster are made.
-- failed_stage: Stage that failed on it, the first in the order of work; null when none did.
-- failed_reason: Why that stage failed.
-- status: As in media.
-- shot_utc: When it was shot; where the file does not say, when it was last changed, else when it first came.
-- shot_on: Day of shot_utc, as yyyy-mm-dd.
-- camera: Maker and model of the camera; null when unknown.
-- resolution: By the longer edge: 8k (from 7000 pixels), 4k (3500), 1080p (1800), 720p (1200), sd; null for sound.
-- length: Duration in words: under 10 s, 10 s to 1 min, 1 to 10 min, over 10 min; null for stills.
-- codec: Codec of the picture, else of the sound.
-- codec_name: The same as people write it, with the kind of ProRes: ProRes 422 HQ.
-- offline: True when it was left at its source, below a watched folder that could not be reached when this was published.
-- backed_up: True when a backup target holds a copy of it that was read back and is good.
SELECT
    m.media_id, m.batch_id, m.name, m.kind, m.status, m.folder, m.album, m.category, m.size_bytes, m.first_seen_utc,
    m.in_store, m.path, m.source_path, m.take_id, m.chapter, m.card_id,
    coalesce(m.created_utc, m.modified_utc, m.first_seen_utc) AS shot_utc,
    strftime(coalesce(m.created_utc, m.modified_utc, m.first_seen_utc), '%Y-%m-%d') AS shot_on,
    nullif(trim(concat_ws(' ', m.camera_make, m.camera_model)), '') AS camera,
    CASE
        WHEN greatest(m.display_width, m.display_height) >= 7000 THEN '8k'
        WHEN greatest(m.display_width, m.display_height) >= 3500 THEN '4k'
        WHEN greatest(m.display_width, m.display_height) >= 1800 THEN '1080p'
        WHEN greatest(m.display_width, m.display_height) >= 1200 THEN '720p'
        WHEN greatest(m.display_width, m.display_height) IS NOT NULL THEN 'sd'
    END AS resolution,
    m.display_width, m.display_height, m.duration_s,
    CASE
        WHEN m.duration_s < 10 THEN 'under 10 s'
        WHEN m.duration_s < 60 THEN '10 s to 1 min'
        WHEN m.duration_s < 600 THEN '1 to 10 min'
        WHEN m.duration_s IS NOT NULL THEN 'over 10 min'
    END AS length,
    coalesce(m.video_codec, m.audio_codec) AS codec,
    CASE
        WHEN m.video_codec = 'prores' AND m.video_profile IN ('4444', 'XQ')
            THEN 'ProRes 4444' || CASE m.video_profile WHEN 'XQ' THEN ' XQ' ELSE '' END
        WHEN m.video_codec = 'prores'
            THEN trim('ProRes 422 ' || coalesce(nullif(m.video_profile, 'Standard'), ''))
        ELSE coalesce(m.video_codec, m.audio_codec)
    END AS codec_name,
    m.log_profile, m.frame_rate_fps, m.hdr, m.timecode,
    coalesce(m.has_audio, false) AS has_audio, m.poster_path IS NOT NULL AS has_proxy, m.scenes,
    m.failed_stage, m.failed_reason, m.blake3,
    NOT m.in_store AND EXISTS (
        FROM ledger.folders f WHERE NOT f.online AND starts_with(m.path, f.path || '/')
    ) AS offline,
    m.media_id IN (
        SELECT c.media_id FROM ledger.copies c JOIN ledger.targets t ON t.target_id = c.target_id
        WHERE c.state = 'verified' AND c.media_id IS NOT NULL
    ) AS backed_up
FROM media m

"""Every table of facts, declared once: it validates what is written and documents the UI and the SQL views."""

import polars as pl

from thatdam_pipelines.library.schemas_motion import DESCRIPTIONS, MOTION, MOTION_SCENES, MOTION_SECONDS, PICTURE_RANGES
from thatdam_pipelines.library.table import BATCH_ID as _BATCH_ID
from thatdam_pipelines.library.table import MEDIA_ID as _MEDIA_ID
from thatdam_pipelines.library.table import RECIPE as _RECIPE
from thatdam_pipelines.library.table import UTC, Column, Table

_SPACE = Column("space", pl.String, "Vector space: model, weights and version; never compared across.", required=True)

MEDIA = Table(
    "media",
    "raw_media",
    "Contents: one row for each different content, in the batch that first brought it.",
    ("media_id",),
    (
        _MEDIA_ID,
        _BATCH_ID,
        Column("name", pl.String, "File name as it first came.", required=True),
        Column("kind", pl.String, "By name and signature: video, audio, image, sidecar, unknown.", required=True),
        Column("size_bytes", pl.Int64, "Size of the content.", required=True),
        Column("blake3", pl.String, "BLAKE3 of the content, 64 hex digits.", required=True),
        Column("xxh128", pl.String, "XXH128 of the content, 32 hex digits, for ASC MHL.", required=True),
        Column("first_seen_utc", UTC, "When the content was first ingested.", required=True),
    ),
)

LOCATIONS = Table(
    "locations",
    "raw_media",
    "Places: every path at which a content is or was found.",
    ("batch_id", "source_path"),
    (
        _MEDIA_ID,
        Column("batch_id", pl.String, "Batch that brought this location.", required=True),
        Column("path", pl.String, "Where the bytes are: relative to the media store, absolute if by reference.", True),
        Column("in_store", pl.Boolean, "True: path is in the media store; false: the file stays at its source.", True),
        Column("source_path", pl.String, "Absolute path it came from; text that is not UTF-8 is escaped.", True),
        Column("folder", pl.String, "Folder below the watched folder it came in, '' at its top.", required=True),
        Column("name", pl.String, "File name as it came.", required=True),
        Column("mode", pl.String, "copy, move or reference.", required=True),
        Column("duplicate", pl.Boolean, "True: the content was already in the library; path is the copy kept.", True),
        Column("album", pl.String, "Album of the watched folder it came from; those it is in now: view curation."),
        Column("category", pl.String, "Category of the watched folder."),
        Column("size_bytes", pl.Int64, "Size of the file.", required=True),
        Column("modified_utc", UTC, "The file's own modification time.", required=True),
        Column("verified_utc", UTC, "When the bytes at path were read back and equalled the hash.", required=True),
        Column("verified_blake3", pl.String, "BLAKE3 of the bytes at path as they were read then, 64 hex digits."),
        Column("card_id", pl.String, "Camera card the file belongs to: id of its structure's top folder."),
        Column("card_type", pl.String, "Kind of card structure: DCIM, XAVC, XDCAM, P2, AVCHD, GoPro, ..."),
        Column("take_id", pl.String, "Take that chaptered files, or segments, of one recording share."),
        Column("chapter", pl.Int32, "Place in the take, from 1."),
        Column("manifest_path", pl.String, "The recorder's manifest of it: where it is kept, as path."),
    ),
)

CARD_HASHES = Table(
    "card_hashes",
    "raw_media",
    "Files that a card's own hash list (ASC MHL, .mhl) names, compared with it.",
    ("batch_id", "source_path"),
    (
        Column("batch_id", pl.String, "Batch that compared it.", required=True),
        Column("source_path", pl.String, "Absolute path it came from; of an unusable list the folder.", required=True),
        Column("media_id", pl.String, "Content; null when there is none."),
        Column("verdict", pl.String, "verified, failed, missing, or unusable: the list itself.", required=True),
        Column("reason", pl.String, "What is wrong; empty when nothing is.", required=True),
        Column("compared_utc", UTC, "When it was compared.", required=True),
    ),
)

PROBES = Table(
    "probes",
    "probes",
    "What each media file is, read from its streams.",
    ("media_id",),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("kind", pl.String, "What the file turned out to be: video, audio, image.", required=True),
        Column("container", pl.String, "Container format short name: mov, matroska, mxf, jpeg, ...", required=True),
        Column("mime", pl.String, "Media type, as registered with IANA where it is.", required=True),
        Column("duration_s", pl.Float64, "Duration; null for stills."),
        Column("bit_rate_bps", pl.Int64, "Overall bit rate."),
        Column("video_codec", pl.String, "Codec of the main picture stream (h264, hevc, prores, jpeg, ...)."),
        Column("video_profile", pl.String, "Codec profile."),
        Column("pixel_format", pl.String, "Pixel format (ffmpeg name)."),
        Column("bit_depth", pl.Int32, "Bits a component."),
        Column("width", pl.Int32, "Coded width in pixels."),
        Column("height", pl.Int32, "Coded height in pixels."),
        Column("display_width", pl.Int32, "Width as shown: after sample aspect ratio and rotation."),
        Column("display_height", pl.Int32, "Height as shown: after rotation."),
        Column("rotation_deg", pl.Int32, "Clockwise rotation to show it upright: 0, 90, 180, 270."),
        Column("sample_aspect", pl.String, "Sample aspect ratio as num:den."),
        Column("display_aspect", pl.String, "Display aspect ratio as num:den."),
        Column("frame_rate", pl.String, "Nominal frame rate as a fraction, e.g. 30000/1001."),
        Column("frame_rate_fps", pl.Float64, "Nominal frame rate."),
        Column("average_rate_fps", pl.Float64, "Average frame rate: frames by duration."),
        Column("is_vfr", pl.Boolean, "Variable frame rate: frame durations differ by more than rounding."),
        Column("frames", pl.Int64, "Frames of the main picture stream, where the container says."),
        Column("color_primaries", pl.String, "Colour primaries tag (ITU-T H.273 name)."),
        Column("color_transfer", pl.String, "Transfer characteristics tag (ITU-T H.273 name)."),
        Column("color_space", pl.String, "Matrix coefficients tag (ITU-T H.273 name)."),
        Column("color_range", pl.String, "tv (limited) or pc (full)."),
        Column("hdr", pl.String, "sdr, hlg, pq, hdr10, hdr10plus, dolby_vision; null for audio."),
        Column(
            "log_profile", pl.String, "Logarithmic curve of the picture (Apple Log, S-Log3, ...), as the file names it."
        ),
        Column("interlace", pl.String, "progressive, tff, bff; null when unknown."),
        Column("timecode", pl.String, "Start timecode HH:MM:SS:FF, ';' before the frames when drop-frame."),
        Column("drop_frame", pl.Boolean, "True when the timecode is drop-frame (SMPTE ST 12-1)."),
        Column("created_utc", UTC, "When it was shot, as the file says."),
        Column("created_source", pl.String, "Which field said so."),
        Column("camera_make", pl.String, "Camera maker."),
        Column("camera_model", pl.String, "Camera model."),
        Column("camera_serial", pl.String, "Camera serial number."),
        Column("content_identifier", pl.String, "What the picture and the film of an Apple Live Photo share."),
        Column("latitude_deg", pl.Float64, "GPS latitude, WGS 84."),
        Column("longitude_deg", pl.Float64, "GPS longitude, WGS 84."),
        Column("altitude_m", pl.Float64, "GPS altitude above the ellipsoid or sea level, as the file says."),
        Column("audio_codec", pl.String, "Codec of the main sound stream."),
        Column("audio_channels", pl.Int32, "Channels of the main sound stream."),
        Column("audio_layout", pl.String, "Channel layout of the main sound stream."),
        Column("audio_rate_hz", pl.Int32, "Sample rate of the main sound stream."),
        Column("has_audio", pl.Boolean, "True when there is a sound stream.", required=True),
        Column("warnings", pl.List(pl.String), "What does not add up but did not stop the probe.", required=True),
    ),
)

STREAMS = Table(
    "streams",
    "probes",
    "Every stream of every media file, by type.",
    ("media_id", "stream_index"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("stream_index", pl.Int32, "Index in the container; a name, not an order of importance.", required=True),
        Column("type", pl.String, "video, audio, subtitle, data, attachment.", required=True),
        Column("codec", pl.String, "Codec name."),
        Column("profile", pl.String, "Codec profile."),
        Column("language", pl.String, "Language tag."),
        Column("title", pl.String, "Title or handler name."),
        Column("is_default", pl.Boolean, "Marked as the default of its type."),
        Column("duration_s", pl.Float64, "Duration of the stream."),
        Column("bit_rate_bps", pl.Int64, "Bit rate of the stream."),
        Column("width", pl.Int32, "Coded width in pixels."),
        Column("height", pl.Int32, "Coded height in pixels."),
        Column("pixel_format", pl.String, "Pixel format (ffmpeg name)."),
        Column("frame_rate", pl.String, "Nominal frame rate as a fraction."),
        Column("channels", pl.Int32, "Audio channels."),
        Column("layout", pl.String, "Audio channel layout."),
        Column("sample_rate_hz", pl.Int32, "Audio sample rate."),
    ),
)

PROXIES = Table(
    "proxies",
    "proxies",
    "What was made from each original so that nothing needs to read it again. Paths are relative to the media store.",
    ("media_id",),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("kind", pl.String, "video, audio or image.", required=True),
        Column("proxy_path", pl.String, "540p H.264 mp4; AAC m4a of sound alone; JPEG of a still.", required=True),
        Column("poster_path", pl.String, "JPEG picture that stands for the clip; a waveform for sound.", required=True),
        Column("sprite_path", pl.String, "JPEG sheet of hover thumbnails."),
        Column("sprite_vtt_path", pl.String, "WebVTT that maps times to places on the sheet."),
        Column("audio_path", pl.String, "16 kHz mono WAV for speech and sync."),
        Column("measures_path", pl.String, "Per-frame measures (Parquet) for scenes and motion."),
        Column("width", pl.Int32, "Proxy width in pixels."),
        Column("height", pl.Int32, "Proxy height in pixels."),
        Column("duration_s", pl.Float64, "Proxy duration; null for stills."),
        Column("source_duration_s", pl.Float64, "Duration the original was probed at."),
        Column("frames", pl.Int64, "Frames of the original that were decoded."),
        Column("loudness_lufs", pl.Float64, "Integrated loudness (ITU-R BS.1770, EBU R 128); null: silence."),
        Column("loudness_range_lu", pl.Float64, "Loudness range (EBU Tech 3342)."),
        Column("true_peak_dbtp", pl.Float64, "Highest true peak of any channel; null for digital silence."),
        Column("channel_peak_dbfs", pl.List(pl.Float64), "Sample peak of each channel of the original, from -120."),
        Column("channel_rms_dbfs", pl.List(pl.Float64), "RMS level of each channel of the original, from -120."),
        Column("channel_dc", pl.List(pl.Float64), "Mean sample of each channel of the original, -1 to 1."),
        Column("channel_flat", pl.List(pl.Float64), "How much each channel stays at its peaks, in dB; 0: never."),
        Column("tone_mapped", pl.Boolean, "True when HDR was mapped to SDR.", required=True),
        Column("deinterlaced", pl.Boolean, "True when fields were made into frames.", required=True),
        Column("warnings", pl.List(pl.String), "What does not add up but did not stop it.", required=True),
        Column("size_bytes", pl.Int64, "Bytes of everything made.", required=True),
        Column("elapsed_s", pl.Float64, "Wall time it took.", required=True),
    ),
)

FRAMES = Table(
    "frames",
    "embeddings_l1",
    "Frames taken about one a second from the proxy, near-duplicates dropped.",
    ("media_id", "frame_id"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("frame_id", pl.String, "<media_id>:f<time in ms, 9 digits>.", required=True),
        Column("time_s", pl.Float64, "Presentation time in the clip.", required=True),
        Column("sharpness", pl.Float64, "Variance of the Laplacian of luma (8-bit); higher is sharper.", required=True),
        Column("brightness", pl.Float64, "Mean luma, 0 to 1.", required=True),
        Column("contrast", pl.Float64, "Standard deviation of luma, 0 to 0.5.", required=True),
        Column("saturation", pl.Float64, "Mean HSV saturation, 0 to 1.", required=True),
        Column("motion", pl.Float64, "Mean absolute luma change a second around it, 0 to 1; null without measures."),
        Column("dominant_colors", pl.List(pl.String), "Up to 5 colours as #rrggbb, most of the frame first.", True),
    ),
)

SCENES = Table(
    "scenes",
    "embeddings_l2",
    "Scenes: stretches of a clip between two cuts or fades.",
    ("media_id", "scene_id"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("scene_id", pl.String, "<media_id>:s<start in ms, 9 digits>.", required=True),
        Column("scene_index", pl.Int32, "Place in the clip, from 0.", required=True),
        Column("start_s", pl.Float64, "Start.", required=True),
        Column("end_s", pl.Float64, "End, not included.", required=True),
        Column("transition_in", pl.String, "How it begins: start, cut, fade, dissolve.", required=True),
        Column("transition_score", pl.Float64, "Strength of that transition in the detector's measure."),
        Column("hero_s", pl.Float64, "Time of the hero frame: sharp, well lit, typical.", required=True),
        Column("brightness", pl.Float64, "Mean luma of its frames, 0 to 1."),
        Column("motion", pl.Float64, "Mean absolute luma change a second, 0 to 1."),
    ),
)

_VECTOR = (
    Column("vector", pl.List(pl.Float32), "Unit-length vector.", required=True),
    Column("dimensions", pl.Int32, "Length of the vector.", required=True),
)

EMBEDDINGS_L0 = Table(
    "embeddings_l0",
    "embeddings_l0",
    "One vector a file, from a few evenly spread frames.",
    ("media_id", "space"),
    (_MEDIA_ID, _BATCH_ID, _RECIPE, _SPACE, Column("frames", pl.Int32, "Frames averaged.", True), *_VECTOR),
)

EMBEDDINGS_L1 = Table(
    "embeddings_l1",
    "embeddings_l1",
    "One vector a kept frame.",
    ("media_id", "frame_id", "space"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        _SPACE,
        Column("frame_id", pl.String, "Frame it is of.", required=True),
        Column("time_s", pl.Float64, "Presentation time in the clip.", required=True),
        *_VECTOR,
    ),
)

EMBEDDINGS_L2 = Table(
    "embeddings_l2",
    "embeddings_l2",
    "One vector a scene, from its frames.",
    ("media_id", "scene_id", "space"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        _SPACE,
        Column("scene_id", pl.String, "Scene it is of.", required=True),
        Column("start_s", pl.Float64, "Start of the scene.", required=True),
        Column("end_s", pl.Float64, "End of the scene, not included.", required=True),
        *_VECTOR,
    ),
)

TAGS = Table(
    "tags",
    "tags",
    "Words a machine gave to scenes and files, with how sure it was and how it came to them.",
    ("media_id", "item_id", "tag"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("item_id", pl.String, "scene_id, or media_id for the whole file.", required=True),
        Column("tag", pl.String, "The word.", required=True),
        Column("score", pl.Float64, "Confidence, 0 to 1.", required=True),
        Column("method", pl.String, "measure (light, colour), motion, sound, or the space that named it.", True),
    ),
)


AUDIO = Table(
    "audio",
    "audio",
    "What can be heard in each clip with sound, and what is wrong with its channels.",
    ("media_id",),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("kind", pl.String, "What most of it is: speech, music, speech and music, other, silence.", True),
        Column("silence_s", pl.Float64, "Seconds below -60 dBFS, in silences of half a second or more.", True),
        Column("speech_s", pl.Float64, "Seconds with somebody who speaks.", required=True),
        Column("music_s", pl.Float64, "Seconds with music.", required=True),
        Column("correlation", pl.Float64, "Of left and right: 1 the same, -1 opposed; null where one is silent."),
        Column("side_db", pl.Float64, "Level of the difference of left and right against that of their sum."),
        Column("faults", pl.List(pl.String), "clipped, dead channel, inverted phase, mono in stereo, DC offset.", True),
        Column("waveform_path", pl.String, "Waveform for players (JSON of audiowaveform), in the media store.", True),
        Column("duration_s", pl.Float64, "Duration of the sound.", required=True),
        Column("cpu_s", pl.Float64, "CPU time it took.", required=True),
    ),
)

AUDIO_RANGES = Table(
    "audio_ranges",
    "audio",
    "Where a clip is silent, where somebody speaks and where there is music.",
    ("media_id", "kind", "start_s"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("kind", pl.String, "silence, speech, music.", required=True),
        Column("start_s", pl.Float64, "Start.", required=True),
        Column("end_s", pl.Float64, "End, not included.", required=True),
    ),
)

_SEGMENT_ID = Column("segment_id", pl.String, "<media_id>:t<number in the clip>.", required=True)

TRANSCRIPTS = Table(
    "transcripts",
    "transcripts",
    "What is said in each clip with sound, as a whole.",
    ("media_id",),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("engine", pl.String, "Who wrote it down: engine, model, version.", required=True),
        Column("language", pl.String, "ISO 639-1 code of most of it; null: no word was found."),
        Column("words", pl.Int32, "How many words.", required=True),
        Column("confidence", pl.Float64, "Mean of its words', 0 to 1; null where the engine tells none."),
        Column("text", pl.String, "All of it.", required=True),
        Column("srt_path", pl.String, "Subtitles as SubRip, in the media store; null: no words."),
        Column("vtt_path", pl.String, "The same as WebVTT."),
        Column("txt_path", pl.String, "The same as plain text."),
        Column("speech_s", pl.Float64, "Seconds that were listened to.", required=True),
        Column("cpu_s", pl.Float64, "CPU time it took.", required=True),
    ),
)

TRANSCRIPT_SEGMENTS = Table(
    "transcript_segments",
    "transcripts",
    "Each subtitle: what is shown together.",
    ("segment_id",),
    (
        _SEGMENT_ID,
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("start_s", pl.Float64, "When its first word begins.", required=True),
        Column("end_s", pl.Float64, "When its last word ends.", required=True),
        Column("text", pl.String, "What is said.", required=True),
    ),
)

TRANSCRIPT_WORDS = Table(
    "transcript_words",
    "transcripts",
    "Each word and when it is said.",
    ("media_id", "word_index"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        _SEGMENT_ID,
        Column("word_index", pl.Int32, "Its place in the clip, from 0.", required=True),
        Column("start_s", pl.Float64, "When it begins.", required=True),
        Column("end_s", pl.Float64, "When it ends.", required=True),
        Column("word", pl.String, "As it is written, with its punctuation.", required=True),
        Column("confidence", pl.Float64, "0 to 1; null where the engine tells none."),
    ),
)

TRANSCRIPT_SECTIONS = Table(
    "transcript_sections",
    "transcripts",
    "Stretches of a clip in which one subject is spoken of.",
    ("media_id", "start_s"),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("start_s", pl.Float64, "When it begins.", required=True),
        Column("end_s", pl.Float64, "When it ends.", required=True),
        Column("title", pl.String, "The words that tell it from the rest.", required=True),
    ),
)

FINGERPRINTS = Table(
    "fingerprints",
    "fingerprints",
    "What copies of a file are found by, and the facts that relate it to others.",
    ("media_id",),
    (
        _MEDIA_ID,
        _BATCH_ID,
        _RECIPE,
        Column("kind", pl.String, "video, audio or image.", required=True),
        Column("duration_s", pl.Float64, "Duration; null for stills."),
        Column("pixels", pl.Int64, "Pixels of a picture of the original; null for sound."),
        Column("size_bytes", pl.Int64, "Size of the original.", required=True),
        Column("camera", pl.String, "Maker, model and serial number, as far as the file says."),
        Column("shot_utc", UTC, "When it was shot: by its recorder's clock, else as the file says."),
        Column("latitude_deg", pl.Float64, "GPS latitude, WGS 84."),
        Column("longitude_deg", pl.Float64, "GPS longitude, WGS 84."),
        Column("group_id", pl.String, "What was recorded together with it."),
        Column("group_camera", pl.String, "Camera of the group that recorded it."),
        Column("look_times", pl.Binary, "Times of the looks: little-endian uint32, ms.", required=True),
        Column("looks", pl.Binary, "Luma of 8 x 6 cells of each, one byte a cell.", required=True),
        Column("frame_times", pl.Binary, "Times of the small frames: little-endian uint32, ms.", required=True),
        Column("frames", pl.Binary, "Luma of 48 x 27 pixels of each, one byte a pixel.", required=True),
        Column("sound_times", pl.Binary, "Times of the sound's landmarks: little-endian uint32, 32 ms.", required=True),
        Column("sound_keys", pl.Binary, "Landmarks: little-endian uint32.", required=True),
    ),
)

RELATIONS = Table(
    "relations",
    "embeddings_l3",
    "Pairs of files that have to do with each other. A pair is found by whichever batch was looked at second.",
    ("media_id", "other_id", "relation"),
    (
        Column("media_id", pl.String, "The copy; of a pair without a direction, the lesser media_id.", required=True),
        Column("batch_id", pl.String, "Batch in whose run it was found.", required=True),
        _RECIPE,
        Column("other_id", pl.String, "The source; of a pair without a direction, the greater media_id.", True),
        Column(
            "relation",
            pl.String,
            "near_duplicate, derived_from, same_scene, same_place, same_take or same_session.",
            required=True,
        ),
        Column("score", pl.Float64, "How sure, 0 to 1.", required=True),
        Column("method", pl.String, "What said so: picture, sound, look, position, recorder, clock.", required=True),
        Column("start_s", pl.Float64, "Begin of the stretch of media_id that it is about."),
        Column("end_s", pl.Float64, "Its end."),
        Column("other_start_s", pl.Float64, "Begin of the stretch of other_id."),
        Column("other_end_s", pl.Float64, "Its end."),
        Column("offset_s", pl.Float64, "Time in other_id of time 0 of media_id."),
        Column("speed", pl.Float64, "Seconds of other_id a second of media_id."),
        Column("mirrored", pl.Boolean, "Left and right are swapped."),
        Column("part", pl.List(pl.Float64), "Part of other_id's picture shown: left, top, width, height, 0 to 1."),
        Column("operations", pl.List(pl.String), "What was done: transcode, trim, crop, mirror, speed, mute."),
    ),
)

RELATED = Table(
    "related",
    "embeddings_l3",
    "Files whose relations were looked for.",
    ("media_id",),
    (_MEDIA_ID, _BATCH_ID, _RECIPE),
)

CAPTURE_SEGMENTS = Table(
    "capture_segments",
    "capture_sessions",
    "Segments that the recorder committed, as their manifests tell of them.",
    ("session_id", "camera_id", "segment_index"),
    (
        _MEDIA_ID,
        Column("batch_id", pl.String, "Batch that brought this segment.", required=True),
        _RECIPE,
        Column("camera_id", pl.String, "Camera, by the id that stays its own.", required=True),
        Column("camera_name", pl.String, "What people call the camera.", required=True),
        Column("camera_kind", pl.String, "v4l2, rtsp, http, x11 or synthetic.", required=True),
        Column("camera_serial", pl.String, "Camera serial number."),
        Column("host", pl.String, "Machine that recorded it.", required=True),
        Column("session_id", pl.String, "One unbroken run of one camera.", required=True),
        Column("group_id", pl.String, "What was recorded together: all cameras, also after a break.", required=True),
        Column("role", pl.String, "Part of the camera in the group: hero, witness, ..."),
        Column("take_id", pl.String, "Take whose chapters the segments of the session are.", required=True),
        Column("segment_index", pl.Int32, "Place in the session, from 0.", required=True),
        Column("is_last", pl.Boolean, "The session ended with this segment.", required=True),
        Column("file", pl.String, "Name it was committed by.", required=True),
        Column("size_bytes", pl.Int64, "Size as committed.", required=True),
        Column("blake3", pl.String, "BLAKE3 as committed, 64 hex digits.", required=True),
        Column("start_utc", UTC, "When its first frame was taken.", required=True),
        Column("end_utc", UTC, "When its last frame ended.", required=True),
        Column("clock_error_s", pl.Float64, "Bound on the error of start_utc against the clock of the machine."),
        Column("ntp_synced", pl.Boolean, "True when the machine held its clock for disciplined; null: unknown."),
        Column("start_timecode", pl.String, "Time of day in UTC as timecode, ';' before the frames when drop-frame."),
        Column("frame_rate", pl.String, "Frames a second as a fraction."),
        Column("frames", pl.Int64, "Frames in it.", required=True),
        Column("dropped", pl.Int64, "Frames that the source's times say are missing.", required=True),
        Column("duplicated", pl.Int64, "Frames whose time is not later than that of the one before.", required=True),
        Column("gap_before_s", pl.Float64, "Missing between the segment before and this one; null: the first.", False),
        Column("duration_s", pl.Float64, "From its first frame to the end of its last.", required=True),
        Column("video_codec", pl.String, "Codec of the picture.", required=True),
        Column("width", pl.Int32, "Width in pixels."),
        Column("height", pl.Int32, "Height in pixels."),
        Column("audio_codec", pl.String, "Codec of the sound; null: it has none."),
        Column("complete", pl.Boolean, "False: what was saved of a segment that was cut off.", required=True),
        Column("reason_end", pl.String, "Why it ended: segment, stop, max_s, source_lost, killed, ...", required=True),
        Column("encoder", pl.List(pl.String), "Arguments ffmpeg was given, without credentials.", required=True),
        Column("versions", pl.List(pl.String), "What recorded it, by name and version.", required=True),
    ),
)


SYNCS = Table(
    "syncs",
    "sync",
    "Recordings of one group on one time line: where each lies in the one of another camera that it overlaps most.",
    ("media_id", "reference_id"),
    (
        _MEDIA_ID,
        Column("batch_id", pl.String, "Batch that brought the later of the two.", required=True),
        _RECIPE,
        Column("group_id", pl.String, "Group that was recorded together.", required=True),
        Column("reference_id", pl.String, "Recording on whose time line it lies.", required=True),
        Column("offset_s", pl.Float64, "Time in the reference at which it begins; null: refused."),
        Column("drift_ppm", pl.Float64, "How much longer its second is by the reference's clock; null: not measured."),
        Column("confidence", pl.Float64, "0 to 1.", required=True),
        Column("method", pl.String, "sound, flash, timecode, clock; none when refused.", required=True),
        Column("sure", pl.Boolean, "False: refused; reason says why.", required=True),
        Column("error_s", pl.Float64, "Standard error of the offset by sound; a bound by other methods."),
        Column("overlap_s", pl.Float64, "Seconds that both recorded."),
        Column("reason", pl.String, "Why it was refused.", required=True),
        Column("cpu_s", pl.Float64, "CPU time it took.", required=True),
    ),
)

REWRAPS = Table(
    "rewraps",
    "rewraps",
    "Recordings as one file for editors, not encoded again. Made on request, in the batch that has the last segment.",
    ("take_id",),
    (
        _MEDIA_ID,
        Column("batch_id", pl.String, "Batch that brought the last segment of the take.", required=True),
        _RECIPE,
        Column("take_id", pl.String, "Take that it is.", required=True),
        Column("path", pl.String, "Where it is in the media store.", required=True),
        Column("container", pl.String, "mp4, mov or mkv.", required=True),
        Column("chapters", pl.Int32, "Segments in it.", required=True),
        Column("frames", pl.Int64, "Frames in it.", required=True),
        Column("duration_s", pl.Float64, "Its duration.", required=True),
        Column("size_bytes", pl.Int64, "Its size.", required=True),
    ),
)


def _failures(owner: str) -> Table:
    return Table(
        f"{owner}_failures",
        owner,
        f"Files that {owner} could not do, and why.",
        ("batch_id", "subject"),
        (
            Column("subject", pl.String, "media_id, or the source path of a file that could not be read.", True),
            Column("batch_id", pl.String, "Batch it came in.", required=True),
            Column("media_id", pl.String, "Content, where its bytes could be read."),
            Column("stage", pl.String, "Asset that failed on it.", required=True),
            Column("recipe", pl.String, "Recipe that failed; the same one is tried again only on request.", True),
            Column("path", pl.String, "File as people know it: the path it came from.", required=True),
            Column("reason", pl.String, "What is wrong, as a plain clause.", required=True),
            Column("next_step", pl.String, "What to do about it.", required=True),
            Column("failed_utc", UTC, "When.", required=True),
            Column("away", pl.Boolean, "True: the disk with it could not be reached; every run tries it again."),
        ),
    )


RAW_MEDIA_FAILURES = _failures("raw_media")
PROBES_FAILURES = _failures("probes")
EMBEDDINGS_L0_FAILURES = _failures("embeddings_l0")
PROXIES_FAILURES = _failures("proxies")
AUDIO_FAILURES = _failures("audio")
TRANSCRIPTS_FAILURES = _failures("transcripts")
SYNC_FAILURES = _failures("sync")
MOTION_FAILURES = _failures("motion")
EMBEDDINGS_L1_FAILURES = _failures("embeddings_l1")
EMBEDDINGS_L2_FAILURES = _failures("embeddings_l2")
FINGERPRINTS_FAILURES = _failures("fingerprints")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        MEDIA,
        LOCATIONS,
        CARD_HASHES,
        RAW_MEDIA_FAILURES,
        PROBES,
        STREAMS,
        PROBES_FAILURES,
        EMBEDDINGS_L0,
        EMBEDDINGS_L0_FAILURES,
        PROXIES,
        PROXIES_FAILURES,
        AUDIO,
        AUDIO_RANGES,
        AUDIO_FAILURES,
        MOTION,
        MOTION_SECONDS,
        MOTION_SCENES,
        PICTURE_RANGES,
        MOTION_FAILURES,
        TRANSCRIPTS,
        TRANSCRIPT_SEGMENTS,
        TRANSCRIPT_WORDS,
        TRANSCRIPT_SECTIONS,
        TRANSCRIPTS_FAILURES,
        FRAMES,
        EMBEDDINGS_L1,
        EMBEDDINGS_L1_FAILURES,
        SCENES,
        EMBEDDINGS_L2,
        EMBEDDINGS_L2_FAILURES,
        TAGS,
        DESCRIPTIONS,
        FINGERPRINTS,
        FINGERPRINTS_FAILURES,
        RELATIONS,
        RELATED,
        CAPTURE_SEGMENTS,
        SYNCS,
        SYNC_FAILURES,
        REWRAPS,
    )
}
FAILURE_TABLES: tuple[Table, ...] = tuple(table for table in TABLES.values() if table.name.endswith("_failures"))


def tables_of(owner: str) -> tuple[Table, ...]:
    """The tables that asset ``owner`` writes."""
    return tuple(table for table in TABLES.values() if table.owner == owner)

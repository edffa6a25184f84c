"""The tables of motion: by clip, by second and by scene; where there is nothing to see; and what follows in words."""

import polars as pl

from thatdam_pipelines.library.table import BATCH_ID, MEDIA_ID, RECIPE, Column, Table

_STRETCH = (
    Column("start_s", pl.Float64, "Start.", required=True),
    Column("end_s", pl.Float64, "End, not included.", required=True),
)
_MOVING = (
    Column("camera", pl.String, "What it does most: static, pan, tilt, zoom, shaky; null: nothing can be followed."),
    Column("direction", pl.String, "Where it turns or zooms: left, right, up, down, in, out."),
    Column("share", pl.Float64, "Share of the time in which it does that, 0 to 1.", required=True),
    Column("pan_a_s", pl.Float64, "Picture widths a second that the camera turns to the right.", required=True),
    Column("tilt_a_s", pl.Float64, "Picture heights a second that it turns up.", required=True),
    Column("zoom_a_s", pl.Float64, "Growth of the picture a second, as a natural logarithm.", required=True),
    Column("roll_deg_a_s", pl.Float64, "Degrees a second that it rolls clockwise.", required=True),
    Column("speed_a_s", pl.Float64, "Picture widths a second that the picture goes, whichever way.", required=True),
    Column("shake", pl.Float64, "Distance (RMS) of its path from its smoothed path, in picture widths.", True),
    Column("subject", pl.Float64, "Share of the picture that moves on its own, 0 to 1.", required=True),
    Column("subject_moves", pl.Boolean, "Something moves in front of the camera.", required=True),
)

MOTION = Table(
    "motion",
    "motion",
    "What the camera and what is before it do in each clip, most of the time.",
    ("media_id",),
    (
        MEDIA_ID,
        BATCH_ID,
        RECIPE,
        *_MOVING,
        Column("idle_s", pl.Float64, "Seconds in which neither the camera nor anything before it moves.", True),
        Column("strip_path", pl.String, "Heat strip for timelines (JSON, a value a second), in the media store.", True),
        Column("duration_s", pl.Float64, "Duration of the proxy.", required=True),
        Column("cpu_s", pl.Float64, "CPU time it took.", required=True),
    ),
)

MOTION_SECONDS = Table(
    "motion_seconds",
    "motion",
    "What the camera and what is before it do in each second of a clip.",
    ("media_id", "start_s"),
    (
        MEDIA_ID,
        BATCH_ID,
        RECIPE,
        *_STRETCH,
        *_MOVING,
        Column("heat", pl.Float64, "How much goes on, of camera or subject, 0 to 1.", required=True),
    ),
)

MOTION_SCENES = Table(
    "motion_scenes",
    "motion",
    "What the camera and what is before it do in each scene of a clip.",
    ("media_id", "scene_index"),
    (
        MEDIA_ID,
        BATCH_ID,
        RECIPE,
        Column("scene_index", pl.Int32, "Place in the clip, from 0, as in scenes.", required=True),
        *_STRETCH,
        *_MOVING,
    ),
)

PICTURE_RANGES = Table(
    "picture_ranges",
    "motion",
    "Where a clip's picture is black, frozen, or has nothing in it that moves, and where it flashes.",
    ("media_id", "kind", "start_s"),
    (
        MEDIA_ID,
        BATCH_ID,
        RECIPE,
        Column("kind", pl.String, "black, frozen, still (nothing moves), flash.", required=True),
        *_STRETCH,
    ),
)

DESCRIPTIONS = Table(
    "descriptions",
    "tags",
    "One line for each scene and file, made of what was measured, and its technical quality.",
    ("media_id", "item_id"),
    (
        MEDIA_ID,
        BATCH_ID,
        RECIPE,
        Column("item_id", pl.String, "scene_id, or media_id for the whole file.", required=True),
        Column("description", pl.String, "The line. What people write is in view curation.", required=True),
        Column("quality", pl.Float64, "Technical quality, 0 to 1.", required=True),
        Column("reasons", pl.List(pl.String), "Tags that lower it, the worst first.", required=True),
    ),
)

"""Made-up rows of whole batches, for tests and benchmarks that need a library but no footage."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from blake3 import blake3

from thatdam_pipelines.library.schemas import (
    EMBEDDINGS_L0,
    EMBEDDINGS_L1,
    EMBEDDINGS_L2,
    FRAMES,
    LOCATIONS,
    MEDIA,
    PROBES,
    PROXIES,
    RELATIONS,
    SCENES,
    STREAMS,
    TAGS,
)
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.tables import Tables

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CAMERAS = (("Sony", "ILCE-7SM3"), ("Canon", "EOS R5"), ("GoPro", "HERO12"), ("DJI", "Mavic 3"), ("Apple", "iPhone 15"))
WORDS = ("beach", "sunset", "city", "forest", "portrait", "crowd", "snow", "night", "car", "water", "sky", "indoor")
_CODECS = ("h264", "hevc", "prores", "av1")
_CONTAINERS = ("mov", "mov", "mov", "matroska")
_HDR = ("sdr", "sdr", "sdr", "hlg", "pq")
_RATES = (("24/1", 24.0), ("25/1", 25.0), ("30000/1001", 29.97), ("50/1", 50.0), ("60000/1001", 59.94))
_SPACE = "made-up/1"


def made_up_batch(
    batch_id: str, files: int = 5, *, scenes: int = 2, frames: int = 3, dimensions: int = 8, first: int = 0
) -> dict[Table, pl.DataFrame]:
    """The rows of one batch of finished video files, by table; failure tables are empty.

    Args:
        first: Number of its first file; the same number gives the same content, so batches should not overlap.
    """
    rng = np.random.default_rng(first)
    numbers = range(first, first + files)
    ids = [blake3(str(number).encode()).hexdigest() for number in numbers]
    media_ids = [digest[:32] for digest in ids]
    names = [f"GX{number:06d}.MP4" for number in numbers]
    shot = [EPOCH + timedelta(minutes=10 * number) for number in numbers]
    duration = np.round(rng.uniform(2, 600, files), 3)
    sizes = (duration * 12_500_000).astype(np.int64)
    picked = {name: rng.integers(0, 1_000, files) for name in ("camera", "codec", "hdr", "rate", "big", "album")}
    album = [f"album {value % 40}" for value in picked["album"]]
    camera = [CAMERAS[value % len(CAMERAS)] for value in picked["camera"]]
    rate = [_RATES[value % len(_RATES)] for value in picked["rate"]]
    width = np.where(picked["big"] % 2 == 0, 3840, 1920)
    owned = {"media_id": media_ids, "batch_id": [batch_id] * files}
    done = {**owned, "kind": ["video"] * files, "duration_s": duration}
    made = {
        MEDIA: {**owned, "name": names, "kind": ["video"] * files, "size_bytes": sizes, "blake3": ids,
                "xxh128": media_ids, "first_seen_utc": shot},
        LOCATIONS: {**owned, "path": [f"raw/{batch_id}/{name}" for name in names], "in_store": [True] * files,
                    "source_path": [f"/cards/{batch_id}/DCIM/{name}" for name in names], "folder": ["DCIM"] * files,
                    "name": names, "mode": ["copy"] * files, "duplicate": [False] * files, "album": album,
                    "size_bytes": sizes, "modified_utc": shot, "verified_utc": shot},
        PROBES: {**done, "recipe": ["probe-1"] * files,
                 "container": [_CONTAINERS[value % 4] for value in picked["codec"]], "mime": ["video/mp4"] * files,
                 "video_codec": [_CODECS[value % 4] for value in picked["codec"]],
                 "bit_rate_bps": [100_000_000] * files,
                 "display_width": width, "display_height": width * 9 // 16, "width": width, "height": width * 9 // 16,
                 "frame_rate": [name for name, _ in rate], "frame_rate_fps": [fps for _, fps in rate],
                 "is_vfr": [False] * files, "hdr": [_HDR[value % 5] for value in picked["hdr"]], "created_utc": shot,
                 "camera_make": [make for make, _ in camera], "camera_model": [model for _, model in camera],
                 "has_audio": [True] * files, "audio_codec": ["aac"] * files, "warnings": [[]] * files},
        STREAMS: {**owned, "recipe": ["probe-1"] * files, "stream_index": [0] * files, "type": ["video"] * files},
        PROXIES: {**done, "recipe": ["proxy-1"] * files, "source_duration_s": duration,
                  "proxy_path": [f"derived/{name[:2]}/{name}/proxy-1/proxy.mp4" for name in media_ids],
                  "poster_path": [f"derived/{name[:2]}/{name}/proxy-1/poster.jpg" for name in media_ids],
                  "loudness_lufs": rng.uniform(-40, -10, files), "tone_mapped": [False] * files,
                  "deinterlaced": [False] * files, "warnings": [[]] * files, "size_bytes": sizes // 50,
                  "elapsed_s": duration / 10},
        EMBEDDINGS_L0: _vectors(owned, "embed-1", rng, files, dimensions, frames=[4] * files),
    }  # fmt: skip
    made[RELATIONS] = _relations(batch_id, media_ids)
    made |= _items(batch_id, media_ids, duration, rng, scenes=scenes, frames=frames, dimensions=dimensions)
    return {table: _frame(table, columns) for table, columns in made.items()}


def write_batch(tables: Tables, batch_id: str, made: dict[Table, pl.DataFrame]) -> None:
    """Write every table of a batch as its stages do."""
    for table, frame in made.items():
        tables.write(table, batch_id, frame)


def _relations(batch_id: str, media_ids: Sequence[str]) -> dict[str, Any]:
    """Each file a trim of the one before it."""
    count = max(0, len(media_ids) - 1)
    return {"media_id": media_ids[1:], "other_id": media_ids[:count], "batch_id": [batch_id] * count,
            "recipe": ["relations-1"] * count, "relation": ["derived_from"] * count, "score": [0.99] * count,
            "method": ["picture"] * count, "start_s": [0.0] * count, "end_s": [2.0] * count,
            "other_start_s": [1.0] * count, "other_end_s": [3.0] * count, "offset_s": [1.0] * count,
            "speed": [1.0] * count, "mirrored": [False] * count, "operations": [["trim"]] * count}  # fmt: skip


def _items(
    batch_id: str,
    media_ids: Sequence[str],
    duration: Any,
    rng: np.random.Generator,
    *,
    scenes: int,
    frames: int,
    dimensions: int,
) -> dict[Table, dict[str, Any]]:
    def each(count: int) -> tuple[dict[str, Any], Any, Any, Any]:
        owned = {"media_id": np.repeat(media_ids, count), "batch_id": [batch_id] * (len(media_ids) * count)}
        place = np.tile(np.arange(count), len(media_ids))
        length = np.repeat(duration, count) / max(count, 1)
        return owned, place, np.round(place * length, 3), np.round((place + 1) * length, 3)

    owned, place, start, end = each(scenes)
    count = len(place)
    scene_ids = [f"{item}:s{int(at * 1000):09d}" for item, at in zip(owned["media_id"], start, strict=True)]
    made: dict[Table, dict[str, Any]] = {
        SCENES: {**owned, "recipe": ["scenes-1"] * count, "scene_id": scene_ids, "scene_index": place,
                 "start_s": start, "end_s": end, "transition_in": ["cut"] * count, "hero_s": start,
                 "brightness": rng.uniform(0, 1, count), "motion": rng.uniform(0, 0.2, count)},
        TAGS: {**owned, "recipe": ["tags-1"] * count, "item_id": scene_ids, "score": rng.uniform(0.5, 1, count),
               "tag": [WORDS[value] for value in rng.integers(0, len(WORDS), count)], "method": ["measure"] * count},
        EMBEDDINGS_L2: _vectors(owned, "embed-1", rng, count, dimensions, scene_id=scene_ids, start_s=start, end_s=end),
    }  # fmt: skip
    owned, place, start, _ = each(frames)
    count = len(place)
    frame_ids = [f"{item}:f{int(at * 1000):09d}" for item, at in zip(owned["media_id"], start, strict=True)]
    measures = {name: rng.uniform(0, 0.5, count) for name in ("sharpness", "brightness", "contrast", "saturation")}
    made[FRAMES] = {**owned, "recipe": ["frames-1"] * count, "frame_id": frame_ids, "time_s": start, **measures,
                    "dominant_colors": [["#808080"]] * count}  # fmt: skip
    made[EMBEDDINGS_L1] = _vectors(owned, "embed-1", rng, count, dimensions, frame_id=frame_ids, time_s=start)
    return made


def _vectors(
    owned: dict[str, Any], recipe: str, rng: np.random.Generator, count: int, dimensions: int, **columns: Any
) -> dict[str, Any]:
    vectors = rng.normal(size=(count, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fixed = {"recipe": [recipe] * count, "space": [_SPACE] * count, "dimensions": [dimensions] * count}
    return {**owned, **fixed, **columns, "vector": vectors.tolist()}


def _frame(table: Table, columns: dict[str, Any]) -> pl.DataFrame:
    given = pl.DataFrame({name: pl.Series(name, values) for name, values in columns.items()})
    return given.select(
        (pl.col(name) if name in columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in table.schema.items()
    )

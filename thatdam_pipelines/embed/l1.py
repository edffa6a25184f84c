"""Level 1: frames about one a second from the proxy, with their qualities, and a vector of each."""

import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thatdam_pipelines.embed.embedder import Embedder, Vectors
from thatdam_pipelines.embed.quality import is_another_shot, is_near_duplicate, quality_of, tiny
from thatdam_pipelines.embed.vector_rows import split, vector_row
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import EMBEDDINGS_L1, FRAMES, PROXIES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.frames import Rgb, keyframes, still_frame
from thatdam_pipelines.media.proxies import proxy_recipe
from thatdam_pipelines.settings import Settings

EVERY_S = 1.0
"""Spacing of frames in clips of up to ``MOST_FRAMES`` seconds; longer ones are spread wider."""

MOST_FRAMES = 7_200
WINDOW_FRAMES = 32
"""Frames a job decodes: what is in memory at once does not depend on the length of a clip."""

QUALITY_EDGE = 540
"""Shorter edge of the picture that qualities are measured on, so that they can be compared."""

MOTION_S = 1.0

_JOBS_TOGETHER = 4
_TICK_S = 0.005


def frames_recipe(settings: Settings) -> Recipe:
    """Which frames are kept and what is measured of them; no embedder changes it."""
    return Recipe(
        "frames",
        "1",
        {
            "proxy": proxy_recipe(settings).id,
            "every_s": EVERY_S,
            "most": MOST_FRAMES,
            "window": WINDOW_FRAMES,
            "edge": QUALITY_EDGE,
        },
    )


def l1_recipe(settings: Settings, embedder: Embedder) -> Recipe:
    """The vectors of those frames in the embedder's space."""
    return Recipe("embeddings_l1", "1", {"frames": frames_recipe(settings).id, "space": embedder.space})


def embed_l1_batch(
    library: Library, batch_id: str, embedder: Embedder, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``frames`` and ``embeddings_l1`` for every proxy of the batch that has a picture.

    Where the frames are known already by the same recipe, only their vectors are computed.

    Raises:
        ModelError: The embedder cannot be loaded, or its vectors cannot be trusted.
    """
    settings, space = library.settings, embedder.space
    frames = library.tables.read(FRAMES, batch_id).filter(pl.col("recipe") == frames_recipe(settings).id)
    known = {media_id: rows["time_s"].sort().to_list() for (media_id,), rows in frames.group_by("media_id")}
    names = names_of(library, batch_id)
    work = settings.work_dir / f"frames-{batch_id}"
    jobs = [
        job
        for row in library.tables.read(PROXIES, batch_id).iter_rows(named=True)
        if row["kind"] in ("video", "image")
        for job in _jobs_of(
            settings, row, names.get(row["media_id"], row["media_id"]), known, embedder.input_size, work
        )
    ]
    windows_left = Counter(job.media_id for job in jobs)

    def finish(job: Job, result: tuple["_Frames", Vectors]) -> Rows:
        found, vectors = result
        windows_left[job.media_id] -= 1
        if not windows_left[job.media_id]:
            shutil.rmtree(work / job.media_id, ignore_errors=True)
        ids = [frame_id(job.media_id, time_s) for time_s in found.times_s]
        rows: Rows = {
            EMBEDDINGS_L1.name: [
                {"frame_id": name, "time_s": time_s} | vector_row(space, vector)
                for name, time_s, vector in zip(ids, found.times_s, vectors, strict=True)
            ]
        }
        if found.qualities is not None:
            rows[FRAMES.name] = [
                {"frame_id": name, "time_s": time_s} | quality
                for name, time_s, quality in zip(ids, found.times_s, found.qualities, strict=True)
            ]
        return rows

    def embedded(results: list[_Frames]) -> list[tuple[_Frames, Vectors]]:
        vectors = embedder.embed_images([picture for found in results for picture in found.pictures])
        return list(zip(results, split(vectors, [len(found.times_s) for found in results]), strict=True))

    shutil.rmtree(work, ignore_errors=True)
    try:
        return run_stage(
            library,
            "embeddings_l1",
            batch_id,
            recipes={FRAMES: frames_recipe(settings), EMBEDDINGS_L1: l1_recipe(settings, embedder)},
            done_by=(EMBEDDINGS_L1, FRAMES),
            jobs=jobs,
            work=_frames_of,
            finish=finish,
            prepare=embedded,
            together=_JOBS_TOGETHER,
            space=space,
            retry=retry,
            progress=progress,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def frame_id(media_id: str, time_s: float) -> str:
    """``<media_id>:f<time in ms, 9 digits>``."""
    return f"{media_id}:f{round(time_s * 1000):09d}"


@dataclass(frozen=True)
class _Window:
    """A stretch of a proxy. With ``times_s`` exactly those frames are decoded, and nothing is measured.

    All windows of a clip have the same ``fetched_to``: the folder for what must be downloaded.
    """

    settings: Settings
    name: str
    proxy_path: str
    measures_path: str | None
    fetched_to: Path
    still: bool
    start_s: float
    end_s: float
    every_s: float
    short_edge: int
    times_s: tuple[float, ...] | None


@dataclass(frozen=True)
class _Frames:
    """Frames of a window: pictures with the embedder's short edge, and table columns, None where known already."""

    times_s: list[float]
    pictures: list[Rgb]
    qualities: list[dict[str, Any]] | None


def _jobs_of(
    settings: Settings,
    row: dict[str, Any],
    name: str,
    known: Mapping[str, Sequence[float]],
    short_edge: int,
    work: Path,
) -> Iterator[Job]:
    known_s = known.get(row["media_id"])
    duration_s = row["duration_s"] or 0.0
    every_s = max(EVERY_S, duration_s / MOST_FRAMES)
    window_s = WINDOW_FRAMES * every_s
    count = max(1, math.ceil(duration_s / window_s))
    for number in range(count):
        start_s = number * window_s
        end_s = math.inf if number == count - 1 else start_s + window_s
        times_s = None if known_s is None else tuple(time_s for time_s in known_s if start_s <= time_s < end_s)
        if times_s == ():
            continue
        window = _Window(
            settings=settings,
            name=name,
            proxy_path=row["proxy_path"],
            measures_path=row["measures_path"],
            fetched_to=work / row["media_id"],
            still=row["kind"] == "image",
            start_s=start_s,
            end_s=end_s,
            every_s=every_s,
            short_edge=short_edge,
            times_s=times_s,
        )
        yield Job(row["media_id"], name, window, settings.decode_timeout_s)


def _frames_of(window: _Window) -> _Frames:
    store = Store(window.settings.media_url, window.settings)
    with store.local_once(window.proxy_path, window.fetched_to) as proxy:
        if window.still:
            limit = window.settings.image_max_pixels
            shown = iter([(0.0, still_frame(proxy, short_edge=QUALITY_EDGE, max_pixels=limit))])
        else:
            shown = keyframes(proxy, short_edge=QUALITY_EDGE, every_s=0.0, start_s=window.start_s, end_s=window.end_s)
        if window.times_s is not None:
            return _known(window, shown, window.times_s)
        found = _kept(window, shown)
    if not found.times_s and window.start_s == 0:
        raise MediaError(window.name, "no frame of its proxy can be decoded", "Make the proxy again and retry.")
    if window.measures_path is not None and found.times_s and found.qualities is not None:
        with store.local_once(window.measures_path, window.fetched_to) as measures:
            motions = _motion_at(measures, found.times_s)
        for quality, motion in zip(found.qualities, motions, strict=True):
            quality["motion"] = motion
    return found


def _known(window: _Window, shown: Iterator[tuple[float, Rgb]], times_s: Sequence[float]) -> _Frames:
    """The frames at ``times_s``."""
    wanted = {round(time_s * 1000) for time_s in times_s}
    found = {
        round(time_s * 1000): (time_s, _scaled(picture, window.short_edge))
        for time_s, picture in shown
        if round(time_s * 1000) in wanted
    }
    if len(found) < len(wanted):
        raise MediaError(window.name, "its proxy lacks frames it had before", "Make the proxy again and retry.")
    return _Frames([time_s for time_s, _ in found.values()], [picture for _, picture in found.values()], None)


def _kept(window: _Window, shown: Iterator[tuple[float, Rgb]]) -> _Frames:
    """Frames ``every_s`` apart that are no near-duplicate of the one kept before, and any that begins another shot.

    The first of a window is always kept, so that windows need not know of each other.
    """
    times_s: list[float] = []
    pictures: list[Rgb] = []
    qualities: list[dict[str, Any]] = []
    taken_s, last = -math.inf, None
    for time_s, picture in shown:
        look = tiny(picture)
        if time_s >= taken_s + window.every_s - _TICK_S:
            taken_s = time_s
            if last is not None and is_near_duplicate(look, last):
                continue
        elif last is not None and not is_another_shot(look, last):
            continue
        last = look
        times_s.append(time_s)
        pictures.append(_scaled(picture, window.short_edge))
        qualities.append(asdict(quality_of(picture)) | {"motion": None})
    return _Frames(times_s, pictures, qualities)


def _scaled(picture: Rgb, short_edge: int) -> Rgb:
    import cv2

    height, width = picture.shape[:2]
    scale = short_edge / min(height, width)
    size = (max(short_edge, round(width * scale)), max(short_edge, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def _motion_at(measures: Path, times_s: Sequence[float]) -> list[float | None]:
    """Luma change within half a second of each time, a second; None where nothing was measured."""
    reach = MOTION_S / 2
    changes = (
        pl.scan_parquet(measures)
        .filter(pl.col("time_s").is_between(min(times_s) - reach, max(times_s) + reach))
        .select("time_s", "diff_luma")
        .collect()
    )
    at = changes["time_s"].to_numpy()
    total = np.concatenate([[0.0], np.cumsum(changes["diff_luma"].to_numpy(), dtype=np.float64)])
    motions: list[float | None] = []
    for time_s in times_s:
        first, after = np.searchsorted(at, [time_s - reach, time_s + reach])
        if after - first < 2:
            motions.append(None)
            continue
        # The first frame's change happened before the stretch.
        change = total[after] - total[first + 1]
        motions.append(min(1.0, float(change / (at[after - 1] - at[first]))))
    return motions

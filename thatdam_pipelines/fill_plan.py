"""What `thatdam models plan` says: what another vector space would cost, tried on frames of the library itself."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, TypeVar

import polars as pl

from thatdam_pipelines.embed.embedder import Embedder, open_embedder
from thatdam_pipelines.embed.l0 import l0_frames, l0_jobs
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1, EMBEDDINGS_L2, FRAMES, PROXIES, SCENES
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.frames import Rgb, keyframes, still_frame
from thatdam_pipelines.settings import Settings

TRIED_FILES = 4
TRIED_FRAMES = 8
"""Files that are tried, and frames of each."""

_BYTES_A_NUMBER = 4
T = TypeVar("T")


@dataclass(frozen=True)
class FillPlan:
    """What `thatdam models fill` has to do for a space.

    Args:
        space: The space that would be filled.
        dimensions: Numbers in a vector.
        files, frames, scenes: Vectors that the space lacks at level 0, 1 and 2. Those of scenes come from those of
            their frames.
        away: Files among those tried whose original could not be read.
        seconds: How long it takes by what the tried frames took, model and decoding; None when none could be tried.
        vector_bytes: What the new vectors take in the tables, before compression; the index takes as much again.
    """

    space: str
    dimensions: int
    files: int
    frames: int
    scenes: int
    away: int
    seconds: float | None
    vector_bytes: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> str:
        """The plan in sentences for people."""
        if not self.files + self.frames + self.scenes:
            return f"{self.space} lacks nothing: every file, frame and scene has its vector."
        took = "for a time nobody knows, as no frame of it can be read now,"
        if self.seconds is not None:
            took = f"about {_duration(self.seconds)}"
        away = f" {self.away} of the originals that were tried cannot be read now." if self.away else ""
        return (
            f"{self.space} lacks vectors of {self.files} files, {self.frames} frames and {self.scenes} scenes: {took} "
            f"on this machine, {self.vector_bytes / 1e6:.1f} MB in the tables and as much in the index. "
            f"Originals, proxies, frames and scenes are not made again.{away}"
        )


def plan_fill(settings: Settings) -> FillPlan:
    """What the space of the settings' embedder lacks, and how long making it takes, by trying some of it.

    Raises:
        ModelError: The embedder cannot be opened, or its weights cannot be loaded.
        OfflineError: The media store cannot be reached.
    """
    embedder = open_embedder(settings)
    with Library(settings) as library:
        batches = [_Lacking.of(library, batch_id, embedder) for batch_id in library.tables.batches(FRAMES)]
        jobs = [job for batch in batches for job in batch.files]
        frames, scenes = (sum(getattr(batch, name) for batch in batches) for name in ("frames", "scenes"))
        proxies = [proxy for batch in batches for proxy in batch.proxies]
        file_s, away = _a_file(library, embedder, _spread(jobs))
        frame_s = _a_frame(library, embedder, _spread(proxies))
    known = (not jobs or file_s is not None) and (not frames or frame_s is not None)
    seconds = len(jobs) * (file_s or 0.0) + frames * (frame_s or 0.0) if known else None
    vectors = len(jobs) + frames + scenes
    size = vectors * embedder.dimensions * _BYTES_A_NUMBER
    return FillPlan(embedder.space, embedder.dimensions, len(jobs), frames, scenes, away, seconds, size)


@dataclass(frozen=True)
class _Lacking:
    """What a batch lacks: jobs of level 0, how many frames and scenes, proxies of such frames with their kinds."""

    files: list[Job]
    frames: int
    scenes: int
    proxies: list[tuple[str, str]]

    @classmethod
    def of(cls, library: Library, batch_id: str, embedder: Embedder) -> "_Lacking":
        def held(table: Table) -> pl.DataFrame:
            return library.tables.read(table, batch_id).filter(pl.col("space") == embedder.space)

        done = set(held(EMBEDDINGS_L0)["media_id"])
        frames = library.tables.read(FRAMES, batch_id).join(held(EMBEDDINGS_L1), on="frame_id", how="anti")
        scenes = library.tables.read(SCENES, batch_id).join(held(EMBEDDINGS_L2), on="scene_id", how="anti")
        shown = library.tables.read(PROXIES, batch_id).filter(pl.col("kind").is_in(["video", "image"]))
        proxies = shown.join(frames, on="media_id", how="semi").select("proxy_path", "kind").rows()
        jobs = [job for job in l0_jobs(library, batch_id, embedder) if job.media_id not in done]
        return cls(jobs, frames.height, scenes.height, proxies)


def _a_file(library: Library, embedder: Embedder, jobs: Sequence[Job]) -> tuple[float | None, int]:
    """Seconds that a file takes at level 0, and how many of these cannot be read."""
    tried = list(_tried(library, l0_frames, jobs))
    away = len(jobs) - len(tried)
    if not tried:
        return None, away
    pictures = [picture for own, _ in tried for picture in own]
    decoded_s = sum(seconds for _, seconds in tried)
    return (decoded_s + _embedding_s(embedder, pictures) * len(pictures)) / len(tried), away


def _a_frame(library: Library, embedder: Embedder, proxies: Iterable[tuple[str, str]]) -> float | None:
    """Seconds that a frame of a proxy takes; proxies that cannot be read are passed over."""
    settings = library.settings
    jobs = [
        Job(path, path, _Proxy(settings, path, kind == "image", embedder.input_size), settings.decode_timeout_s)
        for path, kind in proxies
    ]
    tried = list(_tried(library, _proxy_frames, jobs))
    pictures = [picture for own, _ in tried for picture in own]
    decoded_s = sum(seconds for _, seconds in tried)
    return decoded_s / len(pictures) + _embedding_s(embedder, pictures) if pictures else None


@dataclass(frozen=True)
class _Proxy:
    """A proxy to take frames from."""

    settings: Settings
    path: str
    still: bool
    short_edge: int


def _proxy_frames(proxy: _Proxy) -> list[Rgb]:
    """Some frames of a proxy. Runs in a worker."""
    with Store(proxy.settings.media_url, proxy.settings).local(proxy.path) as path:
        if proxy.still:
            limit = proxy.settings.image_max_pixels
            return [still_frame(path, short_edge=proxy.short_edge, max_pixels=limit)]
        shown = keyframes(path, short_edge=proxy.short_edge)
        return [picture for _, picture in islice(shown, TRIED_FRAMES)]


def _tried(
    library: Library, work: Callable[[Any], list[Rgb]], jobs: Sequence[Job]
) -> Iterator[tuple[list[Rgb], float]]:
    """What workers make of those jobs that can be done, each with the seconds it took."""
    timed = [replace(job, payload=(work, job.payload)) for job in jobs]
    return (done for _, done in library.workers.run(_timed, timed) if not isinstance(done, MediaError))


def _timed(order: tuple[Callable[[Any], list[Rgb]], Any]) -> tuple[list[Rgb], float]:
    """Runs in a worker."""
    work, payload = order
    begun = time.monotonic()
    return work(payload), time.monotonic() - begun


def _embedding_s(embedder: Embedder, pictures: Sequence[Rgb]) -> float:
    """Seconds that the model takes for one picture, once it is loaded."""
    embedder.embed_images(pictures[:1])
    begun = time.monotonic()
    embedder.embed_images(pictures)
    return (time.monotonic() - begun) / len(pictures)


def _spread(found: Sequence[T]) -> list[T]:
    """At most ``TRIED_FILES`` of these, from all over the library."""
    step = max(1, len(found) // TRIED_FILES)
    return list(found[::step][:TRIED_FILES])


def _duration(seconds: float) -> str:
    for unit, length_s in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} seconds"

"""Level 0: one vector a file from a few evenly spread frames of the original, so that it is found within seconds."""

from dataclasses import dataclass

from thatdam_pipelines.embed.embedder import Embedder, Vectors
from thatdam_pipelines.embed.vector_rows import mean_vector, split, vector_row
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, PROBES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.frames import Rgb, evenly_spread, still_frame
from thatdam_pipelines.media.whereabouts import Whereabouts, original, whereabouts
from thatdam_pipelines.settings import Settings

MOST_FRAMES = 5
"""Frames of a clip that are averaged."""

SECONDS_A_FRAME = 2.0
"""Shorter clips have fewer frames: one for each two seconds begun."""

_FILES_TOGETHER = 16


def l0_recipe(embedder: Embedder) -> Recipe:
    """Which frames of an original are averaged, and in which space."""
    frames = {"most_frames": MOST_FRAMES, "seconds_a_frame": SECONDS_A_FRAME, "short_edge": embedder.input_size}
    return Recipe("embeddings_l0", "1", frames | {"space": embedder.space})


def embed_l0_batch(
    library: Library, batch_id: str, embedder: Embedder, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``embeddings_l0`` for every video and still of the batch.

    Raises:
        ModelError: The embedder cannot be loaded, or its vectors cannot be trusted.
        OfflineError: The media store cannot be reached.
    """

    def embedded(files: list[list[Rgb]]) -> list[tuple[int, Vectors]]:
        vectors = embedder.embed_images([frame for frames in files for frame in frames])
        return [(len(own), mean_vector(own)) for own in split(vectors, [len(frames) for frames in files])]

    def finish(job: Job, result: tuple[int, Vectors]) -> Rows:
        count, vector = result
        return {EMBEDDINGS_L0.name: [{"frames": count} | vector_row(embedder.space, vector)]}

    return run_stage(
        library,
        "embeddings_l0",
        batch_id,
        recipes={EMBEDDINGS_L0: l0_recipe(embedder)},
        done_by=EMBEDDINGS_L0,
        jobs=l0_jobs(library, batch_id, embedder),
        work=l0_frames,
        finish=finish,
        prepare=embedded,
        together=_FILES_TOGETHER,
        space=embedder.space,
        retry=retry,
        progress=progress,
    )


def l0_jobs(library: Library, batch_id: str, embedder: Embedder) -> list[Job]:
    """What ``l0_frames`` is to do for each video and still of the batch."""
    settings = library.settings
    places = whereabouts(library, batch_id)
    jobs = []
    for probe in library.tables.read(PROBES, batch_id).iter_rows(named=True):
        if probe["kind"] in ("video", "image"):
            found = places[probe["media_id"]]
            still = probe["kind"] == "image"
            order = _Order(settings, found, still, probe["duration_s"], embedder.input_size)
            longest_s = settings.decode_timeout_s + found.download_s(library.store)
            jobs.append(Job(probe["media_id"], found.source_path, order, longest_s))
    return jobs


@dataclass(frozen=True)
class _Order:
    """An original to take frames from: what a worker process is given."""

    settings: Settings
    found: Whereabouts
    still: bool
    duration_s: float | None
    short_edge: int


def l0_frames(order: _Order) -> list[Rgb]:
    """The frames of an original that are averaged. Runs in a worker.

    Raises:
        MediaError: The original is away, or no frame of it decodes.
    """
    settings = order.settings
    with Library(settings) as library, original(library, order.found) as path:
        if order.still:
            return [still_frame(path, short_edge=order.short_edge, max_pixels=settings.image_max_pixels)]
        spread = evenly_spread(
            path,
            duration_s=order.duration_s,
            count=_frame_count(order.duration_s),
            short_edge=order.short_edge,
            name=order.found.name,
            timeout_s=settings.decode_timeout_s,
            max_pixels=settings.image_max_pixels,
        )
        return [frame for _, frame in spread]


def _frame_count(duration_s: float | None) -> int:
    return max(1, min(MOST_FRAMES, -int(-(duration_s or 0.0) // SECONDS_A_FRAME)))

"""A video that somebody names, which nobody vouches for: its facts, and how long work on it may take."""

from contextlib import closing
from pathlib import Path

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.workers import Job, Workers
from thatdam_pipelines.media.facts import Probe
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.probe import probe_file
from thatdam_pipelines.settings import Settings


def probe_video(path: Path, name: str, settings: Settings) -> tuple[Original, int]:
    """The facts of a video and how many sound tracks it has, found in a worker process.

    Raises:
        MediaError: It cannot be read, or is no video.
    """
    with closing(Workers(1, settings.worker_memory_bytes)) as workers:
        [(_, probe)] = workers.run(_probe, [Job(name, name, (path, name), settings.decode_timeout_s)])
    if isinstance(probe, MediaError):
        raise probe
    original = Original.of(probe.row(), name, path.stat().st_size)
    if original.kind != "video":
        raise MediaError(name, "it has no moving picture", "Give a video.")
    return original, sum(stream.type == "audio" for stream in probe.streams)


def longest_s(original: Original, settings: Settings) -> float:
    """Seconds that decoding all of it may take, and encoding it anew."""
    return max(settings.proxy_timeout_min_s, original.plausible_s * settings.proxy_timeout_factor)


def _probe(order: tuple[Path, str]) -> Probe:
    """Runs in a worker."""
    return probe_file(*order)

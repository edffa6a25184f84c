"""Frame rates and durations: what the frames say, over what the header claims."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thatdam_pipelines.media.boxes import Movie, durations_vary
from thatdam_pipelines.media.containers import BoundedFile
from thatdam_pipelines.media.facts import Probe
from thatdam_pipelines.media.formats import fraction_text, standard_rate

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

_VFR_PACKETS = 40
_VFR_BYTES = 2 * 2**20
_MEASURE_BYTES = 64 * 2**20
_CONSTANT_RATE = frozenset({"mxf", "avi", "dv", "gxf", "yuv4mpegpipe"})
_DENSITY_BPS = 64
"""Less than this many bits a second is no recording: the duration is not believed."""


def add_rates(
    probe: Probe, stream: "Stream", container: "InputContainer", file: BoundedFile, movie: Movie | None
) -> None:
    video: Any = stream
    seen: float | None = None
    track = next((t for t in movie.tracks if t.handler == "vide" and t.samples), None) if movie else None
    if track is not None and not movie.fragmented:  # type: ignore[union-attr]
        probe.is_vfr, probe.frames = track.is_vfr, video.frames or track.samples
    elif container.format.name in _CONSTANT_RATE:
        probe.is_vfr, probe.frames = False, video.frames or None
    else:
        probe.frames = video.frames or None
        probe.is_vfr, seen = _seen_rate(container, stream)
    nominal = video.base_rate if probe.is_vfr else (video.guessed_rate or video.average_rate)
    average = seen if probe.is_vfr and seen else video.average_rate or nominal
    if not nominal or nominal > 1000:
        nominal = average
    if nominal and 0 < nominal <= 10_000:
        rate = standard_rate(nominal)
        probe.frame_rate, probe.frame_rate_fps = fraction_text(rate), float(rate)
        for facts in probe.streams:
            if facts.stream_index == stream.index:
                facts.frame_rate = probe.frame_rate
    if average and 0 < average <= 10_000:
        probe.average_rate_fps = float(average)


def _seen_rate(container: "InputContainer", stream: "Stream") -> tuple[bool | None, float | None]:
    """Whether the first frames' durations vary, and how many of them there are a second."""
    times = sorted(
        packet.pts for packet in packets_of(container, stream, _VFR_PACKETS, _VFR_BYTES) if packet.pts is not None
    )
    tick = float(stream.time_base or 0)
    steps = [(after - before) * tick for before, after in itertools.pairwise(times)]
    if len(steps) < 2 or sum(steps) <= 0:
        return None, None
    return durations_vary(steps, tick), len(steps) / sum(steps)


def packets_of(container: "InputContainer", stream: "Stream", most: int, most_bytes: int) -> Iterator[Any]:
    read = 0
    for count, packet in enumerate(container.demux(stream)):
        if count >= most or read >= most_bytes:
            return
        read += packet.size
        yield packet


def settle_duration(
    probe: Probe, container: "InputContainer", file: BoundedFile, movie: Movie | None, moving: bool
) -> None:
    """Believe the index over the header and the frames over both; say so where they differ."""
    headers = (probe.duration_s, movie.duration_s if movie else None, (container.duration or 0) / 1_000_000)
    claimed = max(filter(None, headers), default=None)
    if movie and not movie.fragmented and (tables := [track.table_s for track in movie.tracks if track.table_s]):
        probe.duration_s = min(probe.duration_s or max(tables), max(tables))
    dense = probe.duration_s is None or file.size * 8 / probe.duration_s >= _DENSITY_BPS
    if probe.duration_s is None or (not dense and file.size <= _MEASURE_BYTES):
        probe.duration_s = _measured_duration(probe, container, file) or probe.duration_s
    if claimed and probe.duration_s and abs(claimed - probe.duration_s) > max(1.0, 0.02 * claimed):
        probe.warnings.append(f"its header claims {claimed:.1f} s, its frames last {probe.duration_s:.1f} s")
    if probe.duration_s:
        probe.bit_rate_bps = round(file.size * 8 / probe.duration_s)
        if moving and probe.frames and probe.is_vfr:
            probe.average_rate_fps = probe.frames / probe.duration_s
    lengths = [facts.duration_s for facts in probe.streams if facts.type in ("video", "audio") and facts.duration_s]
    if len(lengths) > 1 and max(lengths) - min(lengths) > max(1.0, 0.02 * max(lengths)):
        probe.warnings.append(f"its streams last from {min(lengths):.1f} to {max(lengths):.1f} s")


def _measured_duration(probe: Probe, container: "InputContainer", file: BoundedFile) -> float | None:
    """Time of the last frame, by reading every packet: of the whole file, or estimated from its first part."""
    import av

    first, last = float("inf"), 0.0
    budget_left = file.left - _MEASURE_BYTES
    try:
        container.seek(0)
        for packet in container.demux():
            time_base = packet.time_base
            if packet.pts is not None and time_base is not None and packet.stream.type in ("video", "audio"):
                first = min(first, float(packet.pts * time_base))
                last = max(last, float((packet.pts + (packet.duration or 0)) * time_base))
            if file.left < budget_left:
                probe.warnings.append("its duration is estimated from its first part")
                return (last - first) * file.size / max(1, file.tell())
    except av.FFmpegError:
        probe.warnings.append("it is damaged: its packets cannot all be read")
    return last - first if last > first else None

"""What a file is, read in this process without trusting it: streams by PyAV, stills by Pillow, the rest refused."""

from dataclasses import dataclass
from pathlib import Path

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.boxes import Movie, read_movie
from thatdam_pipelines.media.containers import BoundedFile, reading
from thatdam_pipelines.media.cuts import missing_bytes
from thatdam_pipelines.media.embedded import written_change
from thatdam_pipelines.media.facts import Probe
from thatdam_pipelines.media.kinds import (
    HEAD_BYTES,
    IMAGE_EXTENSIONS,
    Signature,
    extension_of,
    kind_of_extension,
    signature_of,
)
from thatdam_pipelines.settings import Settings

_COPY_AGAIN = "Copy it from the card again."
_WORDS = {"video": "video", "audio": "sound", "image": "a picture"}


@dataclass(frozen=True)
class Limits:
    """What a probe may take.

    Args:
        timeout_s: Longest time opening, or one read, may take.
        max_pixels: Pictures of more pixels are refused before anything is decoded.
        ffmpeg: Program that is asked about what PyAV refuses; None: nobody is.
    """

    timeout_s: float = 20.0
    max_pixels: int = 300_000_000
    ffmpeg: str | None = None

    @classmethod
    def of(cls, settings: Settings, ffmpeg: str | None) -> "Limits":
        return cls(settings.probe_timeout_s, settings.image_max_pixels, ffmpeg)


def probe_file(path: Path, name: str, limits: Limits | None = None) -> Probe:
    """Facts of one media file.

    Nothing but ``path`` is opened, whatever it contains: PyAV is given an open file and formats that follow no
    names. It reads at most 512 MiB; run it in a worker process, which bounds its memory and its time.

    Args:
        path: The file.
        name: The file as people know it, for its extension and for messages.

    Raises:
        MediaError: It is no media that can be read; the cause says what it is instead.
    """
    limits = limits or Limits()
    with reading(path, name) as file:
        head = file.read_at(0, HEAD_BYTES)
        signature = signature_of(head)
        _refuse_what_is_no_media(name, file, head, signature)
        extension = extension_of(name)
        if _is_still(signature, extension):
            from thatdam_pipelines.media.stills import probe_still

            probe = probe_still(file, name, limits.max_pixels)
        else:
            probe = _probe_moving(path, file, name, signature, limits)
    named = kind_of_extension(extension)
    if named != probe.kind and named in _WORDS and not (named == "video" and probe.kind == "audio"):
        label = signature.label if signature else probe.container
        probe.warnings.append(f"is named as {_WORDS[named]} but is {label}")
    return probe


def _is_still(signature: Signature | None, extension: str) -> bool:
    if signature is None or not signature.is_media:
        return extension in IMAGE_EXTENSIONS
    return signature.kind == "image" and extension not in ("mjpg", "mjpeg")


def _refuse_what_is_no_media(name: str, file: BoundedFile, head: bytes, signature: Signature | None) -> None:
    if file.size == 0:
        raise MediaError(name, "is empty (0 bytes)", _COPY_AGAIN)
    if not head.strip(b"\0"):
        raise MediaError(name, "begins with zeros: it was never written out whole", _COPY_AGAIN)
    if signature is None or signature.is_media:
        return
    if signature.kind == "playlist":
        cause = "is a playlist: playlists are not ingested as media"
        raise MediaError(name, cause, "Ingest the files it names instead.")
    wanted = _WORDS.get(kind_of_extension(extension_of(name)), "media")
    if signature.kind == "archive":
        raise MediaError(name, f"is {signature.label}, not {wanted}", "Unpack it and ingest what is inside.")
    raise MediaError(name, f"is {signature.label}, not {wanted}", "Give it its right extension, or leave it out.")


def _probe_moving(path: Path, file: BoundedFile, name: str, signature: Signature | None, limits: Limits) -> Probe:
    import av

    from thatdam_pipelines.media.streams import probe_printed, probe_streams

    movie = read_movie(file) if signature is not None and signature.format in ("mov", "heic", "avif") else None
    if movie is not None:
        _refuse_broken_movie(name, movie)
    try:
        form = signature.format if signature is not None else None
        probe = probe_streams(file, name, form, movie, limits.timeout_s, limits.max_pixels)
    except av.FFmpegError as error:
        if limits.ffmpeg is not None:
            probe = probe_printed(path, file, name, limits.ffmpeg, limits.timeout_s, limits.max_pixels)
        else:
            cause = "is not a media file that can be read"
            if signature is not None:
                cause = f"is {signature.label} that cannot be read: it is damaged"
            raise MediaError(name, cause, _COPY_AGAIN) from error
    if movie is not None and movie.xmp:
        probe.said, problems = written_change(movie.xmp, {}, name)
        probe.warnings += problems
    missing = movie.missing_bytes if movie is not None else missing_bytes(file, signature.format if signature else "")
    if missing:
        probe.warnings.append(f"it is cut off: {missing:,} bytes are missing at its end")
    return probe


def _refuse_broken_movie(name: str, movie: Movie) -> None:
    if not movie.has_index:
        raise MediaError(
            name,
            "the index (moov) is missing: the recording or the copy was cut off",
            "Copy it from the card again; if it is the same there, repair it with a tool that rebuilds the index.",
        )
    if movie.lies:
        raise MediaError(name, movie.lies[0], "Its header is damaged: copy it from the card again.")
    media = [track for track in movie.tracks if track.handler in ("vide", "soun")]
    if media and all(track.external for track in media):
        raise MediaError(name, "is a reference movie: its frames are in another file", "Ingest the file it refers to.")
    if not movie.has_media:
        raise MediaError(name, "holds no frames: only its header is there", _COPY_AGAIN)

"""`thatdam trim_idle|motion_extract`: a clip without what is idle, and the frames in which something moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from thatdam_pipelines.settings import Settings, get_settings
from thatdam_pipelines.terminal import AsJson, err, out, print_json, shown

NOISE_DB = -60.0
"""Change from frame to frame below which a picture is frozen, by default; that of ffmpeg's ``freezedetect``."""

IDLE_S = 2.0
"""Shortest idle stretch by default."""

THRESHOLD, FPS = 0.01, 5.0
"""Share of the picture that moves, and frames a second that are looked at, by default."""

Video = Annotated[str, typer.Option("--video", metavar="VIDEO", help="A path, or a name or media id.")]


def trim_idle(
    video: Video,
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="MP4 that is written; never overwritten.")],
    noise: Annotated[float, typer.Option(max=0.0, help="Change below which the picture is frozen, in dB.")] = NOISE_DB,
    dur: Annotated[float, typer.Option(min=0.1, help="Shortest idle stretch, in seconds.")] = IDLE_S,
    as_json: AsJson = False,
) -> None:
    """Write a clip without its idle stretches, where its picture is frozen and nothing is heard. The original stays.

    Cut to the frame and encoded anew. Where nothing is idle, nothing is written.

    Example: `thatdam trim_idle --video GX010042.MP4 --out short.mp4 --noise -60 --dur 2`
    """
    from thatdam_pipelines.media.trim import trim_idle as trim

    settings = get_settings()
    with err.status("Looking for idle stretches ..."), _opened(settings, video) as (path, name):
        trimmed = trim(path, name, to.absolute(), settings, noise_db=noise, idle_s=dur)
    if as_json:
        written = None if trimmed.path is None else str(trimmed.path)
        kept_s = round(trimmed.kept_s, 3)
        print_json({"path": written, "idle": trimmed.idle, "kept_s": kept_s, "left_in": trimmed.left_in})
        return
    for start_s, end_s in trimmed.idle:
        typer.echo(f"left out   {start_s:.2f} s to {end_s:.2f} s")
    if trimmed.left_in:
        typer.echo(f"left in    {trimmed.left_in} later idle stretches: trim what was written once more")
    where = "nothing is idle, nothing was written" if trimmed.path is None else shown(str(trimmed.path))
    out.print(f"{where}: {trimmed.kept_s:.2f} s", markup=False, highlight=False, soft_wrap=True)


def motion_extract(
    video: Video,
    to: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder the pictures are written into.")],
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least share that moves, 0 to 1.")] = THRESHOLD,
    fps: Annotated[float, typer.Option(min=0.1, max=60.0, help="Frames a second that are looked at.")] = FPS,
    as_json: AsJson = False,
) -> None:
    """Write the frames of a video in which something moves, as JPEG. The camera's own motion does not count.

    Example: `thatdam motion_extract --video GX010042.MP4 --out frames/ --threshold 0.01 --fps 5`
    """
    from thatdam_pipelines.media.motion_frames import extract_motion

    settings = get_settings()
    with err.status("Looking for motion ..."), _opened(settings, video) as (path, name):
        found = extract_motion(path, name, to.absolute(), settings, threshold=threshold, fps=fps)
    if as_json:
        print_json([{"path": str(one.path), "time_s": one.time_s, "moving": round(one.moving, 4)} for one in found])
        return
    for one in found:
        typer.echo(f"{one.time_s:10.3f} s  {one.moving:7.2%}  {shown(str(one.path))}")
    out.print(f"{len(found)} frames with motion")


@contextmanager
def _opened(settings: Settings, video: str) -> Iterator[tuple[Path, str]]:
    """The video that a path, name or media id means, on this machine, with the name that people know it by."""
    from thatdam_pipelines.errors import QueryError
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.library.locations import media_id_of
    from thatdam_pipelines.media.whereabouts import original, whereabouts

    path = Path(video)
    if path.is_file():
        yield path.absolute(), path.name
        return
    with Library(settings) as library:
        media_id = media_id_of(library, video)
        batch_id = media_id and library.ledger.content_batch(media_id)
        if not media_id or not batch_id:
            raise QueryError(video, "there is no file of that name", "Give a path, or see `thatdam search`.")
        found = whereabouts(library, batch_id)[media_id]
        with original(library, found) as path:
            yield path, found.name

"""`thatdam trim_idle`: a clip without the stretches in which nothing happens."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thatdam_pipelines.settings import Settings, get_settings
from thatdam_pipelines.terminal import AsJson, err, out, print_json, shown

if TYPE_CHECKING:
    from thatdam_pipelines.media.trim import Trimmed

NOISE_DB = -60.0
"""Change from frame to frame below which a picture is frozen, by default; that of ffmpeg's ``freezedetect``."""

IDLE_S = 2.0
"""Shortest idle stretch by default."""


def trim_idle(
    video: Annotated[str, typer.Option("--video", metavar="VIDEO", help="A path, or a name or media id.")],
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="MP4 that is written; never overwritten.")],
    noise: Annotated[float, typer.Option(max=0.0, help="Change below which the picture is frozen, in dB.")] = NOISE_DB,
    dur: Annotated[float, typer.Option(min=0.1, help="Shortest idle stretch, in seconds.")] = IDLE_S,
    as_json: AsJson = False,
) -> None:
    """Write a clip without its idle stretches, where its picture is frozen and nothing is heard. The original stays.

    Cut to the frame and encoded anew. Where nothing is idle, nothing is written.

    Example: `thatdam trim_idle --video GX010042.MP4 --out short.mp4 --noise -60 --dur 2`
    """
    with err.status("Looking for idle stretches ..."):
        trimmed = _trimmed(get_settings(), video, to.absolute(), noise, dur)
    if as_json:
        path = None if trimmed.path is None else str(trimmed.path)
        print_json({"path": path, "idle": trimmed.idle, "kept_s": round(trimmed.kept_s, 3)})
        return
    for start_s, end_s in trimmed.idle:
        typer.echo(f"left out   {start_s:.2f} s to {end_s:.2f} s")
    where = "nothing is idle, nothing was written" if trimmed.path is None else shown(str(trimmed.path))
    out.print(f"{where}: {trimmed.kept_s:.2f} s", markup=False, highlight=False, soft_wrap=True)


def _trimmed(settings: Settings, video: str, target: Path, noise_db: float, idle_s: float) -> "Trimmed":
    from thatdam_pipelines.errors import QueryError
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.library.locations import media_id_of
    from thatdam_pipelines.media.trim import trim_idle as trim
    from thatdam_pipelines.media.whereabouts import original, whereabouts

    path = Path(video)
    if path.is_file():
        return trim(path.absolute(), path.name, target, settings, noise_db=noise_db, idle_s=idle_s)
    with Library(settings) as library:
        media_id = media_id_of(library, video)
        batch_id = media_id and library.ledger.content_batch(media_id)
        if not media_id or not batch_id:
            raise QueryError(video, "there is no file of that name", "Give a path, or see `thatdam search`.")
        found = whereabouts(library, batch_id)[media_id]
        with original(library, found) as path:
            return trim(path, found.name, target, settings, noise_db=noise_db, idle_s=idle_s)

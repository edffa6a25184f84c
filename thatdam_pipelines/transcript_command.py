"""``thatdam transcript``: what is said in a clip, as subtitles, text or JSON."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, print_json


class SubtitleFormat(StrEnum):
    SRT = "srt"
    VTT = "vtt"
    TXT = "txt"


def transcript(
    media: Annotated[str, typer.Argument(metavar="MEDIA", help="A path as it came, a name, or a media id.")],
    written: Annotated[SubtitleFormat, typer.Option("--format", help="How it is written.")] = SubtitleFormat.TXT,
    to: Annotated[Path | None, typer.Option("--out", help="Write it to this file instead of printing it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is said in a clip.

    Example: `thatdam transcript INTERVIEW.MOV --format srt --out interview.srt`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.media.subtitles import FORMATS
    from thatdam_pipelines.search.transcripts import transcript_of

    with Library(get_settings()) as library:
        found = transcript_of(library, media)
    if as_json:
        print_json(found.as_dict())
        return
    text = FORMATS[written.value](found.cues)
    if to is None:
        typer.echo(text, nl=False)
    else:
        to.write_text(text, encoding="utf-8")

"""Cues as files: SubRip, WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format") and plain text."""

from collections.abc import Callable, Sequence

from thatdam_pipelines.media.speech import Cue

LINE_LETTERS = 42


def as_srt(cues: Sequence[Cue]) -> str:
    """SubRip: numbered cues with times to the millisecond, in lines of 42 letters."""
    parts = (
        f"{number}\n{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}\n{_lines(cue.text)}\n"
        for number, cue in enumerate(cues, start=1)
    )
    return "\n".join(parts)


def as_vtt(cues: Sequence[Cue]) -> str:
    """WebVTT: as browsers read it, what is markup in it written so that it is not."""
    parts = (f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n{_plain(_lines(cue.text))}\n" for cue in cues)
    return "\n".join(["WEBVTT\n", *parts])


def as_text(cues: Sequence[Cue]) -> str:
    """The text alone, a line for each cue."""
    return "".join(f"{cue.text}\n" for cue in cues)


FORMATS: dict[str, Callable[[Sequence[Cue]], str]] = {"srt": as_srt, "vtt": as_vtt, "txt": as_text}


def _time(seconds: float, mark: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def _lines(text: str) -> str:
    """Text in lines of about the same length, broken between words."""
    if len(text) <= LINE_LETTERS:
        return text
    spaces = [at for at, letter in enumerate(text) if letter == " "]
    if not spaces:
        return text
    middle = min(spaces, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

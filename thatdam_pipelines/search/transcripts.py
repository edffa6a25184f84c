"""What is said in a clip, as the tables have it."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import media_id_of
from thatdam_pipelines.library.schemas import TRANSCRIPT_SECTIONS, TRANSCRIPT_WORDS, TRANSCRIPTS
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.media.sections import Section
from thatdam_pipelines.media.speech import Cue, Word


@dataclass(frozen=True)
class Transcript:
    """What is said in a clip; ``cues`` are its subtitles in order, none where nobody speaks.

    Args:
        language: ISO 639-1 code; None without words.
        confidence: Mean of its words', 0 to 1; None where the engine tells none.
    """

    media_id: str
    engine: str
    language: str | None
    confidence: float | None
    cues: list[Cue]
    sections: list[Section]

    def as_dict(self) -> dict[str, Any]:
        cues = [{"start_s": cue.start_s, "end_s": cue.end_s, "text": cue.text} | asdict(cue) for cue in self.cues]
        return asdict(self) | {"cues": cues}


def transcript_of(library: Library, subject: str) -> Transcript:
    """The transcript of the file that ``subject`` names.

    Args:
        subject: A media id, a path or a name.

    Raises:
        QueryError: There is no such file, or it has no transcript.
    """
    media_id = media_id_of(library, subject)
    batch_id = library.ledger.content_batch(media_id) if media_id else None
    if media_id is None or batch_id is None:
        raise QueryError(subject, "the library has no such file", "Give a path as it came, a name, or a media id.")

    def rows(table: Table, order: str) -> list[dict[str, Any]]:
        return library.tables.read(table, batch_id).filter(pl.col("media_id") == media_id).sort(order).to_dicts()

    made = rows(TRANSCRIPTS, "media_id")
    if not made:
        next_step = "See `thatdam explain`: a file without sound has none, and THATDAM_TRANSCRIBER=none makes none."
        raise QueryError(subject, "it has no transcript", next_step)
    said = rows(TRANSCRIPT_WORDS, "word_index")
    together: dict[str, list[Word]] = {}
    for row in said:
        word = Word(row["word"], row["start_s"], row["end_s"], row["confidence"])
        together.setdefault(row["segment_id"], []).append(word)
    found = [Section(row["start_s"], row["end_s"], row["title"]) for row in rows(TRANSCRIPT_SECTIONS, "start_s")]
    cues = [Cue(tuple(words)) for words in together.values()]
    return Transcript(media_id, made[0]["engine"], made[0]["language"], made[0]["confidence"], cues, found)

"""Explain: every stage of one file, when and by which recipe it ran, and what is missing and why."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.errors import OfflineError, QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by, media_id_of
from thatdam_pipelines.library.schemas import MEDIA, PROBES, PROXIES, RAW_MEDIA_FAILURES, TABLES, tables_of
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.library.vectors import VectorIndex

STAGES: tuple[str, ...] = (
    *("raw_media", "probes", "embeddings_l0", "proxies", "audio", "transcripts"),
    *("embeddings_l1", "embeddings_l2", "tags", "motion", "fingerprints"),
)
NEEDS = {
    "probes": "raw_media",
    "embeddings_l0": "probes",
    "proxies": "probes",
    "audio": "proxies",
    "transcripts": "audio",
    "embeddings_l1": "proxies",
    "embeddings_l2": "embeddings_l1",
    "tags": "embeddings_l2",
    "motion": "proxies",
    "fingerprints": "proxies",
}
MOVING_STAGES = {"motion"}
SOUND_STAGES = {"audio", "transcripts"}
PICTURE_STAGES = {"embeddings_l0", "embeddings_l1", "embeddings_l2", "tags"}

RunOf = Callable[[str, str], tuple[datetime, str] | None]
"""Given a stage and a batch: when it was last materialized, and the address of that run."""


@dataclass(frozen=True)
class StageStatus:
    """What one stage knows of one file.

    Args:
        state: ``done``, ``failed``, ``missing``, ``not needed`` for this kind of file, or ``unknown`` while an index
            cannot be reached.
        at_utc: When the stage last ran on the file's batch.
        run_url: That run in the Dagster UI.
        reason: Why it failed or is missing; empty when done.
    """

    stage: str
    state: str
    recipe: str = ""
    at_utc: datetime | None = None
    run_url: str = ""
    reason: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class Explanation:
    """Everything known of one file."""

    subject: str
    media_id: str | None
    paths: list[str]
    batch_id: str | None
    stages: list[StageStatus]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Lines for people."""
        lines = [f"media_id  {self.media_id or 'none: its bytes could not be read'}"]
        lines += [f"batch     {self.batch_id or 'none yet'}"]
        lines += [f"path      {path!r}" for path in self.paths]
        for status in self.stages:
            when = f"{status.at_utc:%Y-%m-%d %H:%M:%S} UTC" if status.at_utc else ""
            lines.append(f"{status.stage:<14} {status.state:<11} {when:<24} {status.recipe}".rstrip())
            if status.reason:
                lines.append(f"{'':<14} {status.reason}. {status.next_step}".rstrip())
            if status.run_url:
                lines.append(f"{'':<14} {status.run_url}")
        return lines


def explain(library: Library, subject: str, run_of: RunOf, *, vectors_wait_s: float = 30.0) -> Explanation:
    """Every stage of the file that ``subject`` names.

    Args:
        subject: A media id, the path it came from, the path where it is kept, or its name.
        vectors_wait_s: Longest wait for another process that has the vectors open and runs no server.

    Raises:
        QueryError: Nothing of that name was ever seen, or several files have it.
    """
    media_id = media_id_of(library, subject)
    if media_id is None:
        return _unread(library, subject, run_of)
    batch_id = library.ledger.content_batch(media_id)
    if batch_id is None:
        raise QueryError(subject, "its content is in the tables but not in the ledger", "Restore library.db.")
    facts = {stage: _status(library, stage, media_id, batch_id, run_of) for stage in STAGES}
    kind = _kind(library, media_id, batch_id)
    stages = _with_reasons(facts, kind, _has_sound(library, media_id, batch_id))
    needed = {"vector_index": facts["embeddings_l0"].state == "done", "text_index": kind != "sidecar"}
    with VectorIndex(library.settings, wait_s=vectors_wait_s) as vectors, TextIndex(library.settings.text_path) as text:
        held = {"vector_index": _held(vectors, media_id), "text_index": bool(text.places({media_id}))}
    stages += [_index_status(stage, held[stage], needed[stage], run_of(stage, batch_id)) for stage in held]
    places = locations_by(library.tables, "media_id", [media_id]).sort("batch_id", "source_path")
    return Explanation(subject, media_id, places["source_path"].to_list(), batch_id, stages)


def _unread(library: Library, subject: str, run_of: RunOf) -> Explanation:
    """A file whose bytes never made it into the store: failed in raw_media, waiting in a folder, or unknown."""
    absolute = str(Path(subject).absolute())
    for batch_id in reversed(library.tables.batches(RAW_MEDIA_FAILURES)):
        for row in library.tables.read(RAW_MEDIA_FAILURES, batch_id).to_dicts():
            if row["path"] in (subject, absolute) or Path(row["path"]).name == subject:
                status = _failed("raw_media", row, batch_id, run_of)
                return Explanation(subject, None, [row["path"]], batch_id, [status])
    waiting = library.ledger.file_at(absolute)
    if waiting is not None:
        reason, next_step = _WAITING.get(waiting.state, (f"its state is {waiting.state}", ""))
        status = StageStatus("raw_media", "missing", reason=waiting.reason or reason, next_step=next_step)
        return Explanation(subject, None, [absolute], waiting.batch_id, [status])
    folders = ", ".join(str(folder.path) for folder in library.watched_folders)
    raise QueryError(
        subject,
        "no file of that name, path or media id was ever seen",
        f"Watched are: {folders}. Or run `thatdam ingest`.",
    )


_WAITING = {
    "seen": ("it was seen and is still settling", "Wait until it stops growing."),
    "settled": ("it is settled and waits for its batch", "Wait a minute."),
    "claimed": ("its batch waits for a run or is running", "Look at the runs in Dagster; is `thatdam up` running?"),
    "failed": ("it could not be taken", "See `thatdam sql failures_by_reason`."),
    "gone": ("it went away before it was taken", "Drop it again."),
}


def _kind(library: Library, media_id: str, batch_id: str) -> str:
    for table in (PROBES, MEDIA):
        rows = library.tables.read(table, batch_id).filter(pl.col("media_id") == media_id)
        if rows.height:
            return str(rows["kind"][0])
    return "unknown"


def _has_sound(library: Library, media_id: str, batch_id: str) -> bool:
    """Whether a file has sound, as far as is known."""
    proxy = _rows(library, PROXIES, media_id, batch_id)
    return not proxy.height or proxy["audio_path"][0] is not None


def _status(library: Library, stage: str, media_id: str, batch_id: str, run_of: RunOf) -> StageStatus:
    tables = tables_of(stage)
    main = TABLES[_MAIN_TABLE.get(stage, stage)]
    failures = next((table for table in tables if table.name.endswith("_failures")), None)
    rows = _rows(library, main, media_id, batch_id)
    if rows.height:
        recipes = sorted(set(rows["recipe"])) if "recipe" in rows.columns else []
        at, url = run_of(stage, batch_id) or (None, "")
        return StageStatus(stage, "done", ", ".join(recipes), at, url)
    failed = _rows(library, failures, media_id, batch_id) if failures else pl.DataFrame()
    if failed.height:
        return _failed(stage, failed.to_dicts()[0], batch_id, run_of)
    return StageStatus(stage, "missing")


_MAIN_TABLE = {"raw_media": "media"}


def _rows(library: Library, table: Table, media_id: str, batch_id: str) -> pl.DataFrame:
    return library.tables.read(table, batch_id).filter(pl.col("media_id") == media_id)


def _failed(stage: str, row: dict[str, Any], batch_id: str, run_of: RunOf) -> StageStatus:
    _, url = run_of(stage, batch_id) or (None, "")
    return StageStatus(stage, "failed", row["recipe"], row["failed_utc"], url, row["reason"], row["next_step"])


def _with_reasons(facts: dict[str, StageStatus], kind: str, has_sound: bool) -> list[StageStatus]:
    """Each missing stage says what it waits for."""
    explained = []
    for stage, status in facts.items():
        if status.state != "missing":
            explained.append(status)
            continue
        upstream = NEEDS.get(stage)
        while upstream and facts[upstream].state == "missing" and upstream in NEEDS:
            upstream = NEEDS[upstream]
        if kind == "sidecar" or (kind == "audio" and stage in PICTURE_STAGES):
            explained.append(StageStatus(stage, "not needed", reason=f"a file of kind {kind} has none"))
        elif stage in MOVING_STAGES and kind not in ("video", "unknown"):
            explained.append(StageStatus(stage, "not needed", reason=f"a file of kind {kind} does not move"))
        elif stage in SOUND_STAGES and not has_sound:
            explained.append(StageStatus(stage, "not needed", reason="it has no sound"))
        elif upstream and facts[upstream].state == "failed":
            explained.append(StageStatus(stage, "missing", reason=f"{upstream} failed", next_step="Mend that first."))
        elif upstream and facts[upstream].state == "missing":
            explained.append(StageStatus(stage, "missing", reason=f"{upstream} has not run", next_step=_START))
        else:
            explained.append(StageStatus(stage, "missing", reason="it has not run on this batch", next_step=_START))
    return explained


_START = "Start `thatdam up`, run the batch in Dagster, or use `thatdam ingest --wait`."


def _held(vectors: VectorIndex, media_id: str) -> bool | OfflineError:
    try:
        return vectors.holds(media_id)
    except OfflineError as error:
        return error


def _index_status(stage: str, held: bool | OfflineError, needed: bool, run: tuple[datetime, str] | None) -> StageStatus:
    at, url = run or (None, "")
    if not needed:
        return StageStatus(stage, "not needed", "", at, url, "there is nothing of it to index")
    if isinstance(held, OfflineError):
        return StageStatus(stage, "unknown", "", at, url, held.cause, held.next_step)
    if held:
        return StageStatus(stage, "done", "", at, url)
    next_step = f"Run `thatdam index rebuild {stage.partition('_')[0]}`."
    return StageStatus(stage, "missing", "", at, url, "the index does not hold it", next_step)

"""Which vector space answers searches, and how much of the library each space covers."""

import json
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from thatdam_pipelines.embed.descriptor import DescriptorEmbedder
from thatdam_pipelines.embed.embedder import Embedder, open_embedder
from thatdam_pipelines.embed.open_clip_embedder import OpenClipEmbedder
from thatdam_pipelines.embed.weights import FOLDER_PREFIX
from thatdam_pipelines.errors import ModelError, OfflineError
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import PROBES
from thatdam_pipelines.library.tables import Tables
from thatdam_pipelines.library.vectors import LEVELS
from thatdam_pipelines.settings import Settings

_KEY = "serving_embedder"
_REPLACE = "set THATDAM_EMBEDDER to another, run `thatdam models fill`, then `thatdam models promote --force`"


@dataclass(frozen=True)
class Served:
    """The embedder that answers a library's searches, as its ledger keeps it.

    Args:
        embedder: As ``THATDAM_EMBEDDER`` would name it, files by their absolute paths.
        config: Absolute path of the custom configuration that defines the model, if one does.
        space: The space its vectors are of.
    """

    embedder: str
    config: str | None
    space: str

    def as_settings(self) -> str:
        """The settings that name it."""
        config = f" THATDAM_OPEN_CLIP_CONFIG={self.config}" if self.config else ""
        return f"THATDAM_EMBEDDER={self.embedder}{config}"


@dataclass(frozen=True)
class Serving:
    """The open embedder that answers, and what people should know when it is not the one the settings name."""

    embedder: Embedder
    notes: list[str] = field(default_factory=list)


def served(ledger: Ledger) -> Served | None:
    """What the ledger says answers searches; None before the first vectors were indexed."""
    return _kept(ledger)[0]


def served_before(ledger: Ledger) -> Served | None:
    """What answered before the last change; None when nothing else ever did."""
    return _kept(ledger)[1]


def serve(ledger: Ledger, embedder: Embedder) -> None:
    """From now on ``embedder`` answers searches that are opened; what answers now is kept as what did before."""
    now, before = _kept(ledger)
    candidate = _described(embedder)
    if now is not None and now.space != candidate.space:
        before = now
    ledger.set_setting(_KEY, json.dumps(asdict(candidate) | {"before": before and asdict(before)}))


def serve_first(ledger: Ledger, embedder: Embedder) -> None:
    """``embedder`` answers searches, unless one does already."""
    ledger.set_first_setting(_KEY, json.dumps(asdict(_described(embedder))))


def open_serving(settings: Settings) -> Serving:
    """The embedder that answers searches in the library of ``settings``: the recorded one, else that of the settings.

    Raises:
        ModelError: The recorded embedder cannot be opened any more, or its files are others now.
        SettingsError: The settings name no embedder there is.
        OfflineError: The ledger cannot be read.
    """
    recorded = _recorded(settings)
    if recorded is None:
        return Serving(open_embedder(settings))
    try:
        candidate = open_embedder(settings)
        if candidate.space == recorded.space:
            return Serving(candidate)
    except ModelError as error:
        return Serving(reopen(settings, recorded), [f"The embedder of the settings cannot be opened: {error}"])
    note = (
        f"The settings name another embedder, {candidate.name}. Footage that arrives now gets vectors of that one, and "
        "these are not searched: run `thatdam models fill`, then `thatdam models promote` to let it answer, or set "
        f"{recorded.as_settings()} and run `thatdam models fill` to stay."
    )
    return Serving(reopen(settings, recorded), [note])


def reopen(settings: Settings, recorded: Served) -> Embedder:
    """The recorded embedder, whatever the settings name; device and precision are theirs.

    Raises:
        ModelError: It cannot be opened any more, or its files are others now.
    """
    if recorded.space == DescriptorEmbedder.space:
        return DescriptorEmbedder("it was the first in this library or was promoted")
    named = {"embedder": recorded.embedder, "open_clip_model": "", "open_clip_pretrained": ""}
    config = Path(recorded.config) if recorded.config else None
    try:
        embedder = open_embedder(settings.model_copy(update=named | {"open_clip_config": config}))
        same = embedder.space == recorded.space
    except (ModelError, OSError) as error:
        cause = f"it answers searches in this library and cannot be opened any more ({error})"
        raise ModelError(recorded.embedder, cause, f"Put its files back, or {_REPLACE}.") from error
    if not same:
        cause = f"its files are not those that the library's vectors of {recorded.space} were made with"
        raise ModelError(recorded.embedder, cause, f"Put the old files back, or {_REPLACE}.")
    return embedder


def vectors_held(tables: Tables) -> pl.DataFrame:
    """How many vectors of each space and level each media has: ``space``, ``level``, ``media_id``, ``vectors``."""
    schema = {"space": pl.String(), "level": pl.String(), "media_id": pl.String(), "vectors": pl.Int64()}
    parts = [pl.DataFrame(schema=schema)]
    for level, table in LEVELS.items():
        for batch_id in tables.batches(table):
            rows = pl.read_parquet(tables.path(table, batch_id), columns=["space", "media_id"], glob=False)
            counted = rows.group_by("space", "media_id").agg(vectors=pl.len().cast(pl.Int64))
            parts.append(counted.with_columns(level=pl.lit(level)).select(list(schema)))
    return pl.concat(parts)


def media_with_pictures(tables: Tables) -> int:
    """How many media of the library can have vectors."""
    ids: set[str] = set()
    for batch_id in tables.batches(PROBES):
        rows = pl.read_parquet(tables.path(PROBES, batch_id), columns=["media_id", "kind"], glob=False)
        ids.update(rows.filter(pl.col("kind").is_in(["video", "image"]))["media_id"])
    return len(ids)


def covered(held: pl.DataFrame, space: str) -> int:
    """How many media have vectors of ``space`` at every level."""
    levels = held.filter(pl.col("space") == space).group_by("media_id").agg(pl.col("level").n_unique())
    return levels.filter(pl.col("level") == len(LEVELS)).height


def lacking(held: pl.DataFrame, candidate: str, serving: str) -> int:
    """How many media have vectors of ``serving`` at a level where they have none of ``candidate``."""
    key = ["media_id", "level"]
    theirs, ours = (held.filter(pl.col("space") == space).select(key) for space in (serving, candidate))
    return theirs.join(ours, on=key, how="anti")["media_id"].n_unique()


def _recorded(settings: Settings) -> Served | None:
    url = sa.make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return None
    try:
        with closing(Ledger(settings.database_url)) as ledger:
            return served(ledger)
    except sa.exc.DatabaseError as error:
        cause = f"the ledger cannot be read ({error.orig})"
        raise OfflineError(url.render_as_string(), cause, "Start the database, or see `thatdam doctor`.") from error


def _kept(ledger: Ledger) -> tuple[Served | None, Served | None]:
    """What answers, and what did before."""
    kept = ledger.get_setting(_KEY)
    if kept is None:
        return None, None
    now = json.loads(kept)
    before = now.pop("before", None)
    return Served(**now), Served(**before) if before else None


def _described(embedder: Embedder) -> Served:
    name, config = embedder.name, None
    if isinstance(embedder, OpenClipEmbedder):
        weights = embedder.weights
        if weights.folder is not None:
            name = f"open_clip:{FOLDER_PREFIX}{weights.folder.absolute()}"
        elif weights.checkpoint is not None:
            name = f"open_clip:{weights.model}@{weights.checkpoint.absolute()}"
        config = str(weights.custom_config.absolute()) if weights.custom_config else None
    return Served(name, config, embedder.space)

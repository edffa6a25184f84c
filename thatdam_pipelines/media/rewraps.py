"""The rewraps stage: for each take whose last segment a batch brought, one file for editors. Made on request."""

import tempfile
import time
from pathlib import Path
from typing import Any, get_args

from thatdam_pipelines.errors import MediaError, QueryError, SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS, REWRAPS
from thatdam_pipelines.library.stage import Progress, StageReport, failure_row
from thatdam_pipelines.media.rewrap import Take, Wrap, rewrap, take_of


def rewrap_recipe(wrap: str = "mp4", media_ids: tuple[str, ...] = ()) -> Recipe:
    """Of what contents, joined in which container."""
    return Recipe("rewrap", "1", {"container": wrap, "media": list(media_ids)})


def rewrap_batch(
    library: Library, batch_id: str, wrap: Wrap = "mp4", *, progress: Progress | None = None
) -> StageReport:
    """Rewrap the takes that ended with a segment of the batch, and write table ``rewraps``.

    A take that cannot be rewrapped costs only itself, and is tried again by the next run.

    Raises:
        OfflineError: The store cannot be reached.
        SettingsError: There is no such container.
        StoreError: A file cannot be written.
    """
    if wrap not in get_args(Wrap):
        raise SettingsError(wrap, "there is no such container", f"Choose {', '.join(get_args(Wrap))}.")
    started = time.monotonic()
    segments = library.tables.read(CAPTURE_SEGMENTS, batch_id)
    lasts = dict(segments.filter("is_last").select("take_id", "media_id").unique().iter_rows())
    before = {row["take_id"]: row for row in library.tables.read(REWRAPS, batch_id).to_dicts()}
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    reused = 0
    for number, (take_id, media_id) in enumerate(sorted(lasts.items()), start=1):
        name = take_id
        recipe = rewrap_recipe(wrap)
        try:
            take = take_of(library, take_id)
            name = take.name
            recipe = rewrap_recipe(wrap, tuple(chapter.media_id for chapter in take.chapters))
            known = before.get(take_id)
            if known and known["recipe"] == recipe.id and library.store.exists(known["path"]):
                rows.append(known)
                reused += 1
            else:
                rows.append(_make(library, take, wrap, recipe, batch_id, media_id))
        except (MediaError, QueryError) as error:
            problem = MediaError(error.subject, error.cause, error.next_step)
            failures.append(failure_row("rewraps", batch_id, recipe, name, problem, media_id))
        if progress is not None:
            progress(number, len(lasts), name)
    if rows or library.tables.path(REWRAPS, batch_id).exists():
        library.tables.write(REWRAPS, batch_id, REWRAPS.frame(rows))
    return StageReport(
        stage="rewraps",
        batch_id=batch_id,
        recipe=rewrap_recipe(wrap).id,
        total=len(lasts),
        computed=len(lasts) - reused,
        reused=reused,
        skipped=0,
        elapsed_s=time.monotonic() - started,
        failures=failures,
        facts={"files": [row["path"] for row in rows]},
    )


def _make(library: Library, take: Take, wrap: Wrap, recipe: Recipe, batch_id: str, media_id: str) -> dict[str, Any]:
    key = library.store.derived_key(take.chapters[0].media_id, recipe.id)
    library.settings.work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="rewrap-", dir=library.settings.work_dir, ignore_cleanup_errors=True
    ) as text:
        made = rewrap(library, take, Path(text) / f"{take.name}.{wrap}", wrap)
        library.store.publish_dir(Path(text), key)
    return {
        "media_id": media_id,
        "batch_id": batch_id,
        "recipe": recipe.id,
        "take_id": take.take_id,
        "path": f"{key}/{made.path.name}",
        "container": wrap,
        "chapters": made.chapters,
        "frames": made.frames,
        "duration_s": made.duration_s,
        "size_bytes": made.size_bytes,
    }

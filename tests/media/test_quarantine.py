"""The quarantine says of each batch which files failed, why, and what to do; and no more once they are done."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.settings import Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as opened:
        yield opened


def reports(library: Library) -> dict[str, list[dict[str, Any]]]:
    folder = library.settings.quarantine_dir
    files = sorted(folder.iterdir()) if folder.exists() else []
    return {path.name: json.loads(path.read_text("utf-8"))["failed"] for path in files}


def test_a_report_lists_what_failed_in_any_stage_until_a_retry_succeeds(library: Library, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "clip.mp4").write_text("no video at all\n" * 50)
    gone = drop / "gone\n\N{CLAPPER BOARD}.srt"
    gone.write_text("1\n")
    (batch,) = claim_paths(library, [drop], "copy")
    gone.unlink()

    ingest_batch(library, batch)
    probe_batch(library, batch)

    (failed,) = reports(library).values()
    assert list(reports(library)) == [f"{batch}.json"]
    assert [(Path(row["path"]).name, row["stage"]) for row in failed] == [
        ("clip.mp4", "probes"),
        (gone.name, "raw_media"),
    ]
    assert failed[0]["reason"] == "is a text, not video"
    assert all(row["next_step"] and row["failed_utc"] for row in failed)

    gone.write_text("1\n")
    ingest_batch(library, batch, retry=True)
    (failed,) = reports(library).values()
    assert [Path(row["path"]).name for row in failed] == ["clip.mp4"]


def test_the_report_goes_with_the_last_failure_and_comes_with_the_next(library: Library, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "notes.srt").write_text("1\n")
    (batch,) = claim_paths(library, [drop], "copy")
    (drop / "notes.srt").unlink()
    ingest_batch(library, batch)
    before = (library.settings.quarantine_dir / f"{batch}.json").stat().st_mtime_ns
    ingest_batch(library, batch)
    assert (library.settings.quarantine_dir / f"{batch}.json").stat().st_mtime_ns == before
    (drop / "notes.srt").write_text("1\n")
    ingest_batch(library, batch, retry=True)
    assert reports(library) == {}


def test_a_batch_without_failures_has_no_report(library: Library, tmp_path: Path) -> None:
    (tmp_path / "notes.srt").write_text("1\n")
    (batch,) = claim_paths(library, [tmp_path / "notes.srt"], "copy")
    ingest_batch(library, batch)
    probe_batch(library, batch)
    assert not library.settings.quarantine_dir.exists()

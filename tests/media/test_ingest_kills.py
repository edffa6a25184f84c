"""Ingest that dies, at any point, is finished by the next run as if nothing had happened."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger_tables import MOVED
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.whereabouts import original, whereabouts
from thatdam_pipelines.samples.drops import MODES, ingest, names_in, outcome, rows, stored_files, write
from thatdam_pipelines.settings import IngestMode, Settings

_INGEST = """
import sys
from pathlib import Path
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import Settings

settings = Settings(home=Path(sys.argv[1]), embedder="descriptor", settle_seconds=0, disk_reserve_bytes=0)
with Library(settings) as library:
    print("ready", flush=True)
    ingest_batch(library, sys.argv[2])
"""


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_full_disk_fails_the_batch_loses_nothing_and_the_next_run_finishes_it(
    settings: Settings, tmp_path: Path, mode: IngestMode
) -> None:
    drop = tmp_path / "drop"
    for number in range(4):
        write(drop / f"{number}.mov", os.urandom(30_000))
        # Another name elsewhere: even a move copies.
        os.link(drop / f"{number}.mov", tmp_path / f"also {number}.mov")
    write(drop / "large.mov", os.urandom(300_000))
    os.link(drop / "large.mov", tmp_path / "also large.mov")
    before = {path.name: path.read_bytes() for path in drop.iterdir()}
    with Library(settings) as library:
        (batch,) = claim_paths(library, [drop], mode)

    done = subprocess.run(
        [sys.executable, "-c", _INGEST, str(settings.home), batch],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000)),
    )

    assert "StoreError" in done.stderr
    assert "File too large" in done.stderr
    with Library(settings) as library:
        assert all(content in before.values() for content in stored_files(library).values())
        left = {path.name: path.read_bytes() for path in drop.iterdir()}
        assert left["large.mov"] == before["large.mov"]
        assert set(before.values()) == {*left.values(), *stored_files(library).values()}
        assert ingest_batch(library, batch).failures == []
        assert sorted(stored_files(library).values()) == sorted(before.values())


def make_drop(drop: Path) -> None:
    chance = random.Random(7)
    for number in range(60):
        write(drop / f"card {number % 3}" / "DCIM" / f"{number:03}.mov", chance.randbytes(20_000 + number))
    for number in range(0, 60, 4):
        shutil.copy2(drop / f"card {number % 3}" / "DCIM" / f"{number:03}.mov", drop / f"same as {number}.mov")
    write(drop / "caf\udce9.mov", b"name")
    write(drop / "empty.mov", b"")
    os.mkfifo(drop / "pipe.mov")


@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_point_it_ends_in_the_same_when_run_again(
    settings: Settings, tmp_path: Path, mode: IngestMode
) -> None:
    undisturbed = settings.model_copy(update={"home": tmp_path / "undisturbed"})
    make_drop(tmp_path / "calm" / "drop")
    with Library(undisturbed) as library:
        batch = ingest(library, tmp_path / "calm" / "drop", mode=mode)
        expected = outcome(library, batch, tmp_path / "calm" / "drop")
    assert MOVED in str(expected["files"]) or mode != "move"

    drop = tmp_path / "rough" / "drop"
    make_drop(drop)
    originals = {path.read_bytes() for path in drop.rglob("*.mov") if path.is_file()}
    with Library(settings) as library:
        (batch,) = claim_paths(library, [drop], mode)
    chance = random.Random(11)
    killed = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", _INGEST, str(settings.home), batch], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.0, 0.25))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
        with Library(settings) as library:
            left = {path.read_bytes() for path in drop.rglob("*.mov") if path.is_file()}
            assert originals <= left | set(stored_files(library).values())

    with Library(settings) as library:
        ingest_batch(library, batch)
        assert outcome(library, batch, drop) == expected
        assert not [name for name in names_in(settings.home) if name.endswith(".part")]
    assert killed


def test_a_card_is_moved_to_s3_and_a_run_that_died_there_is_finished(
    s3_settings: Settings, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {path.name: path.read_bytes() for path in card.rglob("*") if path.is_file()}
    with Library(s3_settings) as library:
        (batch,) = claim_paths(library, [card], "move")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            die_after(patch, library, "flush")
            ingest_batch(library, batch)
        assert names_in(card) == ["DCIM", "DCIM/100GOPRO", "PRIVATE", "PRIVATE/M4ROOT", "PRIVATE/M4ROOT/CLIP"]

        report = ingest_batch(library, batch)

        assert (report.computed, report.failures) == (6, [])
        assert names_in(card) == []
        for place in rows(library, LOCATIONS, batch):
            assert place["modified_utc"] == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
            with original(library, whereabouts(library, batch)[str(place["media_id"])]) as path:
                assert path.read_bytes() == content[str(place["name"])]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "step", ["put", "flush", "claim_contents", "disown_contents", "media", "locations", "raw_media_failures", "marked"]
)
def test_dying_after_any_step_ends_in_the_same_when_run_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: IngestMode, step: str
) -> None:
    outcomes = []
    for home in ("undisturbed", "disturbed"):
        drop = tmp_path / f"drop {home}"
        for name, content in (("a.mov", b"same"), ("b.mov", b"same"), ("c/d.mov", b"other"), ("e.mov", b"12345678")):
            write(drop / name, content)
        os.mkfifo(drop / "pipe.mov")
        with Library(settings.model_copy(update={"home": tmp_path / home})) as library:
            (batch,) = claim_paths(library, [drop], mode)
            if home == "disturbed":
                with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                    die_after(patch, library, step)
                    ingest_batch(library, batch)
                    raise KeyboardInterrupt
            ingest_batch(library, batch)
            outcomes.append(outcome(library, batch, drop))

    assert outcomes[1] == outcomes[0]


def die_after(patch: pytest.MonkeyPatch, library: Library, step: str) -> None:
    owner, name = {
        "put": (library.store, "put"),
        "flush": (library.store, "flush"),
        "claim_contents": (library.ledger, "claim_contents"),
        "disown_contents": (library.ledger, "disown_contents"),
        "marked": (library.ledger, "mark_files"),
    }.get(step, (library.tables, "write"))
    do = getattr(owner, name)

    def do_and_die(*args: object, **kwargs: object) -> None:
        do(*args, **kwargs)
        if name != "write" or args[0].name == step:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    patch.setattr(owner, name, do_and_die)

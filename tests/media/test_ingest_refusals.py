"""Files that cannot be taken, and files that change after they were claimed, cost only themselves."""

import ctypes
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.ingest_command import batches_to_retry
from thatdam_pipelines.library.catalog import publish, run_sql
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, RAW_MEDIA_FAILURES
from thatdam_pipelines.library.watch import scan_folder
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.samples.drops import claim_by_watching, ingest, rows, stored_files, watching, write
from thatdam_pipelines.settings import Settings

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_SECUREBITS = 28
_SECBIT_NOROOT = 1


def test_a_bad_file_costs_only_itself(library: Library, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    write(drop / "good.mov", b"good")
    write(drop / "vanishes.mov", b"vanishes")
    write(drop / "becomes a link.mov", b"was a file")
    write(drop / "becomes a folder.mov", b"was a file")
    write(drop / "linked" / "clip.mov", b"in a folder")
    os.mkfifo(drop / "pipe.mov")
    write(tmp_path / "secret" / "clip.mov", b"in a folder")
    (batch,) = claim_paths(library, [drop], "copy")
    (drop / "vanishes.mov").unlink()
    (drop / "becomes a link.mov").unlink()
    (drop / "becomes a link.mov").symlink_to(tmp_path / "secret" / "clip.mov")
    (drop / "becomes a folder.mov").unlink()
    (drop / "becomes a folder.mov").mkdir()
    shutil.rmtree(drop / "linked")
    (drop / "linked").symlink_to(tmp_path / "secret")

    report = ingest_batch(library, batch)

    assert {Path(row["path"]).name: row["reason"] for row in report.failures} == {
        "vanishes.mov": "it is not there any more",
        "becomes a link.mov": "it is not a regular file",
        "becomes a folder.mov": "it is not a regular file",
        "clip.mov": "a folder above it is a symbolic link",
        "pipe.mov": "it is not a regular file",
    }
    assert all(row["next_step"] for row in report.failures)
    assert rows(library, RAW_MEDIA_FAILURES, batch) == report.failures
    assert list(stored_files(library).values()) == [b"good"]
    states = {file.rel_path: (file.state, file.reason) for file in library.ledger.batch_files(batch)}
    assert states["good.mov"] == ("done", "")
    assert states["vanishes.mov"] == ("failed", "it is not there any more")


def _without_rights_of_root() -> None:
    """Make the next program one to which the modes of files apply, even when root runs it."""
    if os.geteuid() == 0 and _LIBC.prctl(_PR_SET_SECUREBITS, _SECBIT_NOROOT, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "root's rights cannot be given up")


def test_an_unreadable_file_costs_only_itself_and_is_taken_on_request(tmp_path: Path) -> None:
    home, drop = tmp_path / "home", tmp_path / "drop"
    write(drop / "good.mov", b"good")
    write(drop / "locked.mov", b"locked")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from thatdam_pipelines.library.home import Library\n"
        "from thatdam_pipelines.media.claim import claim_paths\n"
        "from thatdam_pipelines.media.ingest import ingest_batch\n"
        "from thatdam_pipelines.settings import Settings\n"
        "with Library(Settings(home=Path(sys.argv[1]), disk_reserve_bytes=0)) as library:\n"
        "    locked = Path(sys.argv[2]) / 'locked.mov'\n"
        "    (batch,) = claim_paths(library, [locked.parent], 'copy')\n"
        "    locked.chmod(0)\n"
        "    first = ingest_batch(library, batch)\n"
        "    assert [row['reason'] for row in first.failures] == ['it cannot be read (Permission denied)'], first\n"
        "    again = ingest_batch(library, batch)\n"
        "    assert (again.computed, again.reused, again.skipped) == (0, 1, 1), again\n"
        "    locked.chmod(0o600)\n"
        "    retried = ingest_batch(library, batch, retry=True)\n"
        "    assert (retried.computed, retried.reused, retried.failures) == (1, 1, []), retried\n"
        "    assert {file.state for file in library.ledger.batch_files(batch)} == {'done'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(home), str(drop)],
        capture_output=True,
        text=True,
        preexec_fn=_without_rights_of_root,
    )
    assert done.returncode == 0, done.stderr


def test_a_file_replaced_after_it_was_claimed_is_a_new_arrival_while_it_is_new(
    settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path / "drop" / "clip.mov", b"claimed")
    write(tmp_path / "drop" / "other.mov", b"other")
    with Library(watching(settings, tmp_path / "drop", settle_seconds=600)) as library:
        batch = claim_by_watching(library)
        write(tmp_path / "drop" / "clip.mov", b"replaced since")

        report = ingest_batch(library, batch)

        assert report.failures == []
        assert report.facts["returned"] == 1
        assert list(stored_files(library).values()) == [b"other"]
        (file,) = library.ledger.files_in(str(tmp_path / "drop"), ["seen"])
        assert (file.rel_path, file.size_bytes) == ("clip.mov", len(b"replaced since"))
        again = claim_by_watching(library)
        os.utime(tmp_path / "drop" / "clip.mov", ns=(file.mtime_ns, file.mtime_ns))
        ingest_batch(library, again)
        assert sorted(stored_files(library).values()) == [b"other", b"replaced since"]


def test_a_file_replaced_after_it_was_claimed_that_has_settled_is_taken_as_it_is(
    settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path / "drop" / "clip.mov", b"claimed")
    with Library(watching(settings, tmp_path / "drop", settle_seconds=0)) as library:
        batch = claim_by_watching(library)
        write(tmp_path / "drop" / "clip.mov", b"replaced since")

        ingest_batch(library, batch)

        assert list(stored_files(library).values()) == [b"replaced since"]
        (folder,) = library.settings.watched
        assert scan_folder(library.ledger, library.settings, folder, datetime.now(UTC)).arrived == 0


@pytest.mark.parametrize("scanned", [True, False])
def test_a_file_that_vanished_after_it_was_claimed_is_taken_when_it_is_back(
    settings: Settings, tmp_path: Path, scanned: bool
) -> None:
    clip = write(tmp_path / "drop" / "clip.mov", b"clip")
    write(tmp_path / "drop" / "other.mov", b"other")
    with Library(watching(settings, tmp_path / "drop", settle_seconds=0)) as library:
        batch = claim_by_watching(library)
        clip.unlink()
        (failure,) = ingest_batch(library, batch).failures
        assert (failure["path"], failure["reason"]) == (str(clip), "it is not there any more")
        (folder,) = library.settings.watched
        if scanned:
            scan_folder(library.ledger, library.settings, folder, datetime.now(UTC))

        write(clip, b"clip")
        again = claim_by_watching(library)

        assert again != batch
        assert ingest_batch(library, again).failures == []
        assert sorted(stored_files(library).values()) == [b"clip", b"other"]


def test_a_file_that_vanished_just_before_a_run_died_is_taken_when_it_is_back(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write(tmp_path / "drop" / "clip.mov", b"clip")
    with Library(watching(settings, tmp_path / "drop", settle_seconds=0)) as library:
        batch = claim_by_watching(library)
        clip.unlink()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(library.ledger, "mark_files", _die)
            ingest_batch(library, batch)
        write(clip, b"clip")

        ingest_batch(library, batch)

        assert ingest_batch(library, claim_by_watching(library)).failures == []
        assert list(stored_files(library).values()) == [b"clip"]


def _die(*args: object, **kwargs: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("watched", [True, False])
def test_a_file_that_is_written_to_while_it_is_copied_is_not_taken(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    path = write(tmp_path / "drop" / "clip.mov", b"x" * 5000)
    if watched:
        settings = watching(settings, tmp_path / "drop", settle_seconds=0)
    read = os.read

    def read_while_someone_writes(descriptor: int, size: int) -> bytes:
        block = read(descriptor, size)
        if os.path.realpath(f"/proc/self/fd/{descriptor}") == str(path):
            with path.open("ab") as growing:
                growing.write(b"more")
        return block

    with Library(settings) as library:
        (batch,) = claim_paths(library, [tmp_path / "drop"], "copy")
        monkeypatch.setattr(os, "read", read_while_someone_writes)
        report = ingest_batch(library, batch)
        monkeypatch.undo()

        assert stored_files(library) == {}
        if watched:
            assert report.failures == []
            assert [file.rel_path for file in library.ledger.files_in(str(tmp_path / "drop"), ["seen"])] == ["clip.mov"]
        else:
            assert [row["reason"] for row in report.failures] == ["it changed while it was read"]


def test_a_disk_that_is_gone_is_no_fault_of_its_files(library: Library, card: Path) -> None:
    (batch,) = claim_paths(library, [card], "copy")
    card.rename(card.with_name("unplugged"))

    with pytest.raises(OfflineError, match="Mount the disk"):
        ingest_batch(library, batch)

    assert rows(library, RAW_MEDIA_FAILURES, batch) == []
    card.with_name("unplugged").rename(card)
    assert ingest_batch(library, batch).failures == []


def test_a_failure_is_settled_when_another_batch_took_what_is_there_now(library: Library, tmp_path: Path) -> None:
    for name in ("mended.mov", "still bad.mov"):
        (tmp_path / "drop").mkdir(exist_ok=True)
        os.mkfifo(tmp_path / "drop" / name)
    first = ingest(library, tmp_path / "drop")
    (tmp_path / "drop" / "mended.mov").unlink()
    second = ingest(library, write(tmp_path / "drop" / "mended.mov", b"mended"))
    assert [row["name"] for row in rows(library, LOCATIONS, second)] == ["mended.mov"]

    for batch in (first, second):
        library.ledger.finish_batch(batch, "done")
    publish(library)

    listed = run_sql(library.settings, "SELECT batch_id, path FROM failures").rows()
    assert listed == [(first, str(tmp_path / "drop" / "still bad.mov"))]
    assert batches_to_retry(library) == [first]
    again = ingest_batch(library, first, retry=True)
    assert [row["path"] for row in again.failures] == [str(tmp_path / "drop" / "still bad.mov")]

    (tmp_path / "drop" / "still bad.mov").unlink()
    third = ingest(library, write(tmp_path / "drop" / "still bad.mov", b"mended too"))
    library.ledger.finish_batch(third, "done")

    publish(library)
    assert run_sql(library.settings, "SELECT path FROM failures").is_empty()
    assert batches_to_retry(library) == []

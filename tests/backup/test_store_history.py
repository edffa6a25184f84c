"""ASC MHL in the media store: every history that is written there is accepted by the ascmhl program."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from thatdam_pipelines.backup.manifest import find_snapshot
from thatdam_pipelines.backup.restore import Wanted, restore
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.store_history import begin_history
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.backup.verify import verify_originals
from thatdam_pipelines.defs.backup.assets import backup_audit
from thatdam_pipelines.defs.resources import library_of
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.store import raw_folder
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.samples.cards import contents, put_files, write_card
from thatdam_pipelines.settings import BackupTarget, IngestMode, Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as opened:
        yield opened


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001", clips=3, clip_bytes=5000)
    return tmp_path / "A001"


def ingested(library: Library, card: Path, mode: IngestMode = "copy") -> tuple[str, Path]:
    (batch,) = claim_paths(library, [card], mode)
    ingest_batch(library, batch)
    return batch, Path(library.store.url(raw_folder(batch)))


def require_accepted(folder: Path) -> None:
    for module, command in (("ascmhl.cli.ascmhl", "diff"), ("ascmhl.cli.ascmhl_debug", "verify")):
        done = subprocess.run([sys.executable, "-m", module, command, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, (command, done.stdout, done.stderr)


def generations(folder: Path) -> int:
    return len(list((folder / "ascmhl").glob("*.mhl")))


def test_ingest_begins_a_history_in_the_batchs_folder_and_touches_no_original(library: Library, card: Path) -> None:
    batch, folder = ingested(library, card)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert begin_history(library, batch) == "written"
    assert begin_history(library, batch) == "unchanged"
    assert generations(folder) == 1 and contents(folder) == contents(card)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    require_accepted(folder)


def test_verify_appends_what_it_re_read_and_leaves_out_what_is_damaged(library: Library, card: Path) -> None:
    batch, folder = ingested(library, card)
    begin_history(library, batch)
    assert verify_originals(library).unwritten == []
    assert generations(folder) == 2
    require_accepted(folder)
    assert verify_originals(library, share=0.2).files < len(contents(folder))
    assert generations(folder) == 3
    require_accepted(folder)
    clip = folder / "DCIM/100TEST/C0001.MOV"
    content = bytearray(clip.read_bytes())
    clip.chmod(0o644)
    clip.write_bytes(b"rotten")
    assert verify_originals(library).unhealed == 1
    newest = sorted((folder / "ascmhl").glob("*.mhl"))[-1].read_text()
    assert "C0002.MOV" in newest and "C0001.MOV" not in newest
    clip.write_bytes(content)
    require_accepted(folder)


def test_a_file_that_a_second_try_brings_is_a_second_generation(library: Library, card: Path) -> None:
    batch, folder = ingested(library, card)
    begin_history(library, batch)
    put_files(folder, {"DCIM/100TEST/late.MOV": b"late"})
    assert begin_history(library, batch) == "written" and generations(folder) == 2
    require_accepted(folder)


def test_a_card_on_which_a_file_was_renamed_and_one_added_leaves_every_history_accepted(
    library: Library, card: Path
) -> None:
    batch, folder = ingested(library, card)
    begin_history(library, batch)
    (card / "DCIM/100TEST/C0001.MOV").rename(card / "DCIM/100TEST/renamed.MOV")
    put_files(card, {"DCIM/100TEST/C0099.MOV": b"new"})
    (later,) = set(claim_paths(library, [card], "copy")) - {batch}
    ingest_batch(library, later)
    second = Path(library.store.url(raw_folder(later)))
    assert begin_history(library, later) == "written"
    # What the first batch brought is not kept twice, whatever its name is now.
    assert list(contents(second)) == ["DCIM/100TEST/C0099.MOV"]
    verify_originals(library)
    for history in (folder, second):
        assert generations(history) == 2
        require_accepted(history)


def test_a_rename_in_the_store_that_the_program_recorded_is_accepted_and_the_history_goes_on(
    library: Library, card: Path
) -> None:
    batch, folder = ingested(library, card)
    begin_history(library, batch)
    clip = folder / "DCIM/100TEST/C0001.MOV"
    clip.rename(clip.with_name("renamed.MOV"))
    command = [sys.executable, "-m", "ascmhl.cli.ascmhl", "create", "-dr", "-h", "xxh128", str(folder)]
    subprocess.run(command, capture_output=True, check=True)
    require_accepted(folder)
    report = verify_originals(library)
    assert [Path(one["path"]).name for one in report.wrong] == ["C0001.MOV"] and not report.unwritten
    assert generations(folder) == 3
    require_accepted(folder)


def test_a_card_with_a_history_of_its_own_keeps_it_as_it_came(library: Library, card: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "ascmhl.cli.ascmhl", "create", "-h", "md5", str(card)], capture_output=True, check=True
    )
    batch, folder = ingested(library, card)
    kept = {path.name: path.read_bytes() for path in (folder / "ascmhl").iterdir()}
    assert begin_history(library, batch) == "not written: the card's own history is kept there as it came"
    verify_originals(library)
    assert {path.name: path.read_bytes() for path in (folder / "ascmhl").iterdir()} == kept


def test_nothing_is_written_into_the_folder_of_referenced_files(library: Library, card: Path) -> None:
    batch, _ = ingested(library, card, "reference")
    assert begin_history(library, batch) == "not written: nothing is kept in the batch's own folder"
    verify_originals(library)
    assert not list(card.rglob("ascmhl"))


def test_a_kill_between_manifest_and_chain_is_made_good_by_the_next_generation(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thatdam_pipelines.backup import mhl

    batch, folder = ingested(library, card)
    begin_history(library, batch)
    real = mhl.replacing

    def killed(target: Path) -> object:
        if target.name == mhl.CHAIN:
            raise KeyboardInterrupt
        return real(target)

    with monkeypatch.context() as patched:
        patched.setattr(mhl, "replacing", killed)
        with pytest.raises(KeyboardInterrupt):
            verify_originals(library)
    require_accepted(folder)
    verify_originals(library)
    assert generations(folder) == 2
    require_accepted(folder)


def test_a_restored_tree_is_accepted_too_with_all_its_generations(library: Library, card: Path, tmp_path: Path) -> None:
    batch, folder = ingested(library, card)
    begin_history(library, batch)
    verify_originals(library)
    take_snapshot(library, wanted := BackupTarget(name="disk", url=str(tmp_path / "disk")))
    target = open_target(library.settings, wanted)
    restore([target], find_snapshot(target, "latest"), Wanted(pattern="media/*"), tmp_path / "out")
    tree = tmp_path / "out/media" / raw_folder(batch)
    assert generations(tree) == 2 and contents(tree) == contents(folder)
    require_accepted(tree)


def test_the_nightly_audit_re_reads_originals_and_appends_a_generation(
    settings: Settings, library: Library, card: Path, tmp_path: Path
) -> None:
    batch, folder = ingested(library, card)
    begin_history(library, batch)
    take_snapshot(library, wanted := BackupTarget(name="disk", url=str(tmp_path / "disk")))
    nightly = settings.model_copy(update={"backup_targets": [wanted], "audit_days": 0.5})
    assert dg.materialize([backup_audit], resources={"library": library_of(nightly)}).success
    assert generations(folder) == 2
    require_accepted(folder)
    clip = folder / "DCIM/100TEST/C0001.MOV"
    clip.chmod(0o644)
    clip.write_bytes(b"rotten")
    result = dg.materialize([backup_audit], resources={"library": library_of(nightly)})
    (wrong,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert wrong.check_name == "copies_sound" and "C0001.MOV: it changed" in str(wrong.description).replace("\\", "")

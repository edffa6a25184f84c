"""Verification of originals: what changed or is missing is named, and healed from a copy on request."""

from pathlib import Path

import pytest

from tests.conftest import S3_SERVERS
from thatdam_pipelines.backup.contents import originals
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.backup.verify import VerifyReport, verify_originals
from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Settings


@pytest.fixture
def library(settings: Settings, tmp_path: Path) -> Library:
    """Four originals in the store and one by reference, with a snapshot."""
    for name in ("card/0.MOV", "card/1.MOV", "card/2.MOV", "card/3.MOV", "nas/4.MOV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 100)
    with Library(settings) as library:
        for folder, mode in (("card", "copy"), ("nas", "reference")):
            for batch in claim_paths(library, [tmp_path / folder], mode):  # type: ignore[arg-type]
                ingest_batch(library, batch)
        take_snapshot(library, BackupTarget(name="disk", url=str(tmp_path / "disk")))
        return library


def kept(library: Library, name: str) -> Path:
    (found,) = Path(library.settings.media_url).rglob(name)
    return found


def flip(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def verified(library: Library, tmp_path: Path, *, heal: bool = False, share: float = 1.0) -> VerifyReport:
    disk = open_target(library.settings, BackupTarget(name="disk", url=str(tmp_path / "disk")), library.ledger)
    return verify_originals(library, share=share, heal_from=[disk] if heal else [])


def test_all_good_originals_are_called_good(library: Library, tmp_path: Path) -> None:
    report = verified(library, tmp_path)
    assert (report.files, report.wrong, report.away) == (5, [], [])


def test_changed_and_missing_originals_are_named_with_where_a_good_copy_is(library: Library, tmp_path: Path) -> None:
    flip(kept(library, "1.MOV"))
    kept(library, "2.MOV").unlink()
    report = verified(library, tmp_path)
    told = {one["path"].rpartition("/")[2]: one for one in report.wrong}
    assert told.keys() == {"1.MOV", "2.MOV"} and report.unhealed == 2
    assert "changed" in told["1.MOV"]["reason"] and "missing" in told["2.MOV"]["reason"]
    assert all(one["good copy"] == "disk" for one in report.wrong)


def test_a_copy_in_the_library_that_was_good_before_is_not_named_as_good_when_it_is_found_damaged(
    library: Library, tmp_path: Path
) -> None:
    verified(library, tmp_path)
    flip(kept(library, "1.MOV"))
    (one,) = verified(library, tmp_path).wrong
    assert one["good copy"] == "disk"


def test_heal_puts_the_good_content_back_and_keeps_the_damaged_file(library: Library, tmp_path: Path) -> None:
    flip(kept(library, "1.MOV"))
    damaged = kept(library, "1.MOV").read_bytes()
    lost = kept(library, "2.MOV")
    lost.unlink()
    report = verified(library, tmp_path, heal=True)
    assert report.unhealed == 0 and len(report.wrong) == 2
    assert kept(library, "1.MOV").read_bytes() == b"card/1.MOV" * 100 and lost.read_bytes() == b"card/2.MOV" * 100
    (aside,) = (library.settings.quarantine_dir / "damaged").iterdir()
    assert aside.read_bytes() == damaged
    assert not verified(library, tmp_path).wrong


def test_heal_changes_nothing_where_the_copy_is_damaged_too(library: Library, tmp_path: Path) -> None:
    flip(kept(library, "1.MOV"))
    damaged = kept(library, "1.MOV").read_bytes()
    for copy in (tmp_path / "disk/objects").rglob("*"):
        if copy.is_file():
            copy.write_bytes(b"rotten")
    report = verified(library, tmp_path, heal=True)
    assert report.unhealed == 1 and kept(library, "1.MOV").read_bytes() == damaged


def test_what_was_left_by_reference_is_named_and_never_touched(library: Library, tmp_path: Path) -> None:
    flip(tmp_path / "nas/4.MOV")
    damaged = (tmp_path / "nas/4.MOV").read_bytes()
    report = verified(library, tmp_path, heal=True)
    assert report.unhealed == 1 and (tmp_path / "nas/4.MOV").read_bytes() == damaged


def test_a_disk_that_is_away_is_not_held_against_its_files(library: Library, tmp_path: Path) -> None:
    (tmp_path / "nas").rename(tmp_path / "unplugged")
    report = verified(library, tmp_path)
    assert not report.wrong and [path.rpartition("/")[2] for path in report.away] == ["4.MOV"]


def test_a_media_store_that_is_away_is_offline_and_nothing_is_called_missing(library: Library, tmp_path: Path) -> None:
    Path(library.settings.media_url).rename(tmp_path / "away")
    with Library(library.settings) as again, pytest.raises(OfflineError):
        verify_originals(again)


def test_samples_get_round_to_every_original(library: Library, tmp_path: Path) -> None:
    sizes = [verified(library, tmp_path, share=0.2).files for _ in range(5)]
    assert sizes[:4] == [1] * 4, "an original at a time, as the share is"
    read = [copy for copy in library.ledger.copies.oldest("library") if copy.verified_utc]
    assert len(read) == 5


@pytest.mark.parametrize("s3_server", S3_SERVERS, indirect=True)
def test_heal_puts_originals_back_into_a_bucket_too(s3_settings: Settings, tmp_path: Path) -> None:
    disk = BackupTarget(name="disk", url=str(tmp_path / "disk"))
    for name in ("0.MOV", "1.MOV", "2.MOV"):
        (tmp_path / "card").mkdir(exist_ok=True)
        (tmp_path / "card" / name).write_bytes(name.encode() * 100)
    with Library(s3_settings) as library:
        for batch in claim_paths(library, [tmp_path / "card"], "copy"):
            ingest_batch(library, batch)
        take_snapshot(library, disk)
        keys = {source.path.rpartition("/")[2]: source.place for source in originals(library)}
        for name, rotten in (("1.MOV", b"rotten"), ("2.MOV", None)):
            library.store.take_out(keys[name], tmp_path / f"taken-{name}")
            if rotten:
                (tmp_path / "rotten").write_bytes(rotten)
                library.store.put(tmp_path / "rotten", keys[name])
        targets = [open_target(s3_settings, disk, library.ledger)]
        report = verify_originals(library, heal_from=targets)
        assert [one["path"].rpartition("/")[2] for one in report.wrong] == ["1.MOV", "2.MOV"] and not report.unhealed
        assert not verify_originals(library).wrong
        assert library.store.read_bytes(keys["1.MOV"]) == b"1.MOV" * 100
    (aside,) = (s3_settings.quarantine_dir / "damaged").iterdir()
    assert aside.read_bytes() == b"rotten"

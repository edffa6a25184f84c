"""Offload: every file of a card at every destination, read back; a verdict that is never better than the facts."""

import json
import os
from pathlib import Path

import pytest

from thatdam_pipelines.backup.offload import OffloadResult, Progress, offload
from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.samples.cards import contents, odd_files, put_files, write_card


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001")
    return tmp_path / "A001"


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    return roots


def folder_of(result: OffloadResult, which: int = 0) -> Path:
    found = result.copies[which].folder
    assert found is not None
    return found


def test_every_file_is_at_every_destination_with_its_bytes_and_time(card: Path, two: list[Path]) -> None:
    os.utime(card / "MISC/empty.dat", ns=(10**18, 10**18 + 5))
    result = offload(card, two)
    assert result.is_safe and result.reasons == []
    for copy in result.copies:
        assert copy.folder is not None and contents(copy.folder) == contents(card)
        assert (copy.folder / "PRIVATE/DATABASE").is_dir()
        for file in result.card.files:
            assert (copy.folder / file.path).stat().st_mtime_ns == file.mtime_ns
            assert copy.records[file.path].digest == digest_file(card / file.path)


def test_nothing_half_written_is_left(card: Path, two: list[Path]) -> None:
    offload(card, two)
    assert not [path for root in two for path in root.rglob("*.part")]


def test_odd_names_are_copied_byte_for_byte_and_told_of_in_json(card: Path, two: list[Path]) -> None:
    put_files(card, odd_files())
    result = offload(card, two)
    assert result.is_safe
    assert contents(folder_of(result, 1)) == contents(card)
    json.dumps(result.as_dict()).encode()


def test_a_card_is_read_once_whatever_the_number_of_destinations(
    card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from thatdam_pipelines.backup import offload as module

    read: list[Path] = []
    real = module.digest_open
    monkeypatch.setattr(module, "digest_open", lambda fd, path, write: read.append(path) or real(fd, path, write))
    result = offload(card, two)
    assert sorted(read) == sorted(card / file.path for file in result.card.files)


def test_what_the_system_made_is_left_and_named(card: Path, two: list[Path]) -> None:
    system = {".DS_Store": b"x", "System Volume Information/x": b"x", "DCIM/._C0001.MOV": b"\x00\x05\x16\x07rest"}
    put_files(card, {**system, "._camera.dat": b"the camera's own", ".hidden/clip.MOV": b"hidden"})
    result = offload(card, two)
    assert result.is_safe
    assert set(result.card.left) == {".DS_Store", "System Volume Information", "DCIM/._C0001.MOV"}
    assert (folder_of(result) / "._camera.dat").exists() and (folder_of(result) / ".hidden/clip.MOV").exists()


def test_a_link_on_a_card_is_not_followed_and_makes_it_unsafe(card: Path, two: list[Path], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (card / "link.MOV").symlink_to(tmp_path / "secret")
    result = offload(card, two)
    assert not result.is_safe and "link.MOV: it is a link" in result.reasons[0]
    assert not os.path.lexists(folder_of(result) / "link.MOV")


def test_two_cards_with_the_same_names_are_both_kept_whole(tmp_path: Path, two: list[Path]) -> None:
    cards = [tmp_path / "x" / "A001", tmp_path / "y" / "A001"]
    made = [write_card(card, seed=seed) for seed, card in enumerate(cards)]
    for card in cards:
        for path in card.rglob("*"):
            os.utime(path, ns=(10**18, 10**18))
    results = [offload(card, two) for card in cards]
    again = [offload(card, two) for card in cards]
    for which in (0, 1):
        folders = [folder_of(result, which) for result in results]
        assert folders[0] != folders[1]
        assert [contents(folder) for folder in folders] == made
        assert [folder_of(result, which) for result in again] == folders


def test_run_again_it_finds_its_own_folder_and_reads_nothing_twice(card: Path, two: list[Path]) -> None:
    first, second = offload(card, two), offload(card, two)
    assert second.is_safe and folder_of(second) == folder_of(first)
    assert second.copies[0].resumed and len(second.copies[0].earlier) == len(second.card.files)


def test_asked_to_verify_again_it_reads_both_ends(card: Path, two: list[Path]) -> None:
    first = offload(card, two)
    path = folder_of(first) / "DCIM/100TEST/C0001.MOV"
    found = path.stat()
    damaged = bytearray(path.read_bytes())
    damaged[200_000] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    result = offload(card, two, reverify=True)
    assert not result.is_safe and result.copies[1].is_whole
    assert result.copies[0].failures == {"DCIM/100TEST/C0001.MOV": "its copy does not equal the card any more"}
    assert result.copies[1].earlier == frozenset()


def test_a_copy_once_found_damaged_is_not_believed_by_a_later_run_until_it_is_made_anew(
    card: Path, two: list[Path]
) -> None:
    path = folder_of(offload(card, two)) / "DCIM/100TEST/C0001.MOV"
    found = path.stat()
    damaged = bytearray(path.read_bytes())
    damaged[200_000] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert not offload(card, two, reverify=True).is_safe
    again = offload(card, two)
    assert not again.is_safe and again.copies[1].is_whole
    assert again.copies[0].failures == {"DCIM/100TEST/C0001.MOV": "another content stands under its name there"}
    path.unlink()
    assert offload(card, two).is_safe
    assert path.read_bytes() == (card / "DCIM/100TEST/C0001.MOV").read_bytes()


def test_a_bit_that_flipped_on_the_card_since_is_told_of_and_the_copy_stays_as_it_was(
    card: Path, two: list[Path]
) -> None:
    copy = folder_of(offload(card, two)) / "DCIM/100TEST/C0001.MOV"
    path, good = card / "DCIM/100TEST/C0001.MOV", copy.read_bytes()
    found = path.stat()
    rotten = bytearray(good)
    rotten[150_000] ^= 1
    path.write_bytes(rotten)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    result = offload(card, two, reverify=True)
    assert not result.is_safe and copy.read_bytes() == good
    for one in result.copies:
        assert one.failures == {"DCIM/100TEST/C0001.MOV": "the card has another content than when it was copied"}


def test_what_was_shot_since_is_added_to_the_same_folder(card: Path, two: list[Path]) -> None:
    first = offload(card, two)
    put_files(card, {"DCIM/100TEST/C0099.MOV": b"new"})
    second = offload(card, two)
    assert second.is_safe and folder_of(second) == folder_of(first)
    assert contents(folder_of(second)) == contents(card)
    assert len(second.copies[0].earlier) == len(first.card.files)


def test_a_destination_added_later_gets_everything(card: Path, two: list[Path]) -> None:
    offload(card, two[:1])
    result = offload(card, two)
    assert result.is_safe and contents(folder_of(result, 1)) == contents(card)


def test_a_file_that_stands_there_already_is_never_overwritten(card: Path, two: list[Path]) -> None:
    first = offload(card, two)
    path = folder_of(first) / "DCIM/100TEST/C0001.MOV"
    path.unlink()
    path.write_bytes(b"somebody else's")
    result = offload(card, two)
    assert path.read_bytes() == b"somebody else's"
    assert not result.is_safe and result.copies[1].is_whole
    assert "another content stands under its name" in result.copies[0].failures["DCIM/100TEST/C0001.MOV"]


def test_the_same_content_that_stands_there_already_is_accepted(card: Path, two: list[Path]) -> None:
    first = offload(card, two)
    path = folder_of(first) / "DCIM/100TEST/C0001.MOV"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert offload(card, two).is_safe


def test_a_copy_that_is_gone_is_made_again(card: Path, two: list[Path]) -> None:
    first = offload(card, two)
    (folder_of(first) / "DCIM/100TEST/C0001.MOV").unlink()
    result = offload(card, two)
    assert result.is_safe and contents(folder_of(result)) == contents(card)


def test_progress_ends_at_all_of_the_card(card: Path, two: list[Path]) -> None:
    seen: list[Progress] = []
    offload(card, two, on_progress=seen.append)
    done = [one.done_bytes for one in seen]
    assert done[-1] == seen[-1].total_bytes and done == sorted(done)


def test_an_empty_card_is_refused_and_not_called_safe(tmp_path: Path, two: list[Path]) -> None:
    (tmp_path / "empty" / "DCIM").mkdir(parents=True)
    with pytest.raises(SettingsError, match="no files"):
        offload(tmp_path / "empty", two)


def test_destinations_that_cannot_be_are_refused(card: Path, two: list[Path], tmp_path: Path) -> None:
    for wrong in ([], [tmp_path / "none"], [card / "DCIM"], [two[0], two[0]], [card]):
        with pytest.raises(SettingsError):
            offload(card, wrong)
    assert not any(two[0].iterdir())

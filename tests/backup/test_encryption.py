"""Encrypted targets: what is there says nothing, the key alone opens it, and the ``age`` tool can do it too."""

import gzip
import json
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backup.cases import Case
from thatdam_pipelines.backup import targets
from thatdam_pipelines.backup.bucket_place import BucketPlace
from thatdam_pipelines.backup.encrypted_place import EncryptedPlace
from thatdam_pipelines.backup.keys import Key, encrypted_bytes, new_key, read_key
from thatdam_pipelines.backup.pace import Pace
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.errors import MediaError, SettingsError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    new_key(tmp_path / "thatdam.key")
    return tmp_path / "thatdam.key"


@pytest.fixture
def case(fresh: Callable[..., Case], key_file: Path) -> Case:
    """Six originals and a snapshot of them on a disk, encrypted."""
    case = fresh()
    case.disk = case.disk.model_copy(update={"key_file": key_file})
    with Library(case.settings) as library:
        take_snapshot(library, case.disk)
    return case


def stored(case: Case) -> list[Path]:
    return [
        path
        for path in Path(case.disk.url).rglob("*")
        if path.is_file() and path.name not in (targets.MARKER, targets.SPARE_MARKER)
    ]


def test_a_key_is_for_its_owner_only_and_is_never_written_over(key_file: Path) -> None:
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    before = key_file.read_text()
    with pytest.raises(SettingsError, match="exists"):
        new_key(key_file)
    assert key_file.read_text() == before


def test_neither_names_nor_contents_nor_hashes_can_be_seen_at_the_target(case: Case) -> None:
    hashes = {digest_file(path).blake3 for path in case.kept()}
    assert len(stored(case)) > 10
    for path in stored(case):
        content, name = path.read_bytes(), str(path.relative_to(case.disk.url))
        assert content.startswith(b"age-encryption.org/v1\n")
        assert not re.search("|".join(one[:8] for one in hashes) + "|jsonl|[0-9]{8}T", name)
        assert not any(original[:64] in content for original in case.contents.values())


def test_the_age_tool_alone_reads_manifest_and_contents(case: Case, key_file: Path) -> None:
    def age(path: Path) -> bytes:
        program = ["age", "--decrypt", "--identity", str(key_file), str(path)]
        return subprocess.run(program, check=True, capture_output=True).stdout

    (manifest,) = Path(case.disk.url, "snapshots").iterdir()
    lines = [json.loads(line) for line in gzip.decompress(age(manifest)).splitlines()]
    objects = {age(path) for path in Path(case.disk.url, "objects").rglob("*") if path.is_file()}
    assert set(case.contents.values()) <= objects
    assert len([line for line in lines if line["role"] == "original"]) == 6


def test_a_lost_or_another_key_is_told_with_what_it_means(case: Case, tmp_path: Path) -> None:
    new_key(tmp_path / "other.key")
    for key_file, says in (
        (None, r"encrypted for the key age1\w+, and no key is given: nothing in it can be read.*docs/backup\.md"),
        (tmp_path / "other.key", r"encrypted for the key age1\w+, and the key in .*other\.key is age1\w+"),
        (tmp_path / "lost.key", r"lost\.key: the key file of an encrypted backup target cannot be read.*paper copy"),
    ):
        with pytest.raises(SettingsError, match=says):
            open_target(case.settings, case.disk.model_copy(update={"key_file": key_file}))
        with Library(case.settings) as library, pytest.raises(SettingsError, match=says):
            take_snapshot(library, case.disk.model_copy(update={"key_file": key_file}))


def test_a_key_that_was_mistyped_from_paper_is_refused(key_file: Path) -> None:
    text = key_file.read_text()
    secret = text.splitlines()[-1]
    for typed in (text.replace(secret, secret[:-1]), text.replace(secret, secret[:30] + secret[31:] + "Q"), "", "# no"):
        key_file.write_text(typed)
        with pytest.raises(SettingsError, match="no file with one age key"):
            read_key(key_file)


def test_a_plain_target_takes_nothing_encrypted_and_stays_as_it_is(fresh: Callable[..., Case], key_file: Path) -> None:
    case = fresh(1)
    before = sorted(Path(case.disk.url).rglob("*"))
    with Library(case.settings) as library, pytest.raises(SettingsError, match="it is not encrypted"):
        take_snapshot(library, case.disk.model_copy(update={"key_file": key_file}))
    assert sorted(Path(case.disk.url).rglob("*")) == before


def test_a_damaged_original_is_not_sent_and_leaves_nothing_on_this_machine(case: Case) -> None:
    place = open_target(case.settings, case.disk).place
    with pytest.raises(MediaError, match="damaged"):
        place.add(case.kept()[0], "objects/ab/abcd", "0" * 64)
    assert place.size("objects/ab/abcd") is None
    assert list((case.settings.work_dir / "encrypted").iterdir()) == []


def test_names_come_back_and_only_from_their_own_key(key_file: Path, tmp_path: Path) -> None:
    key, other = read_key(key_file), new_key(tmp_path / "other.key")
    for name in ("a", "ab", "f" * 64, "20261121T120000-000001-0a1b2c3d-0e1f.aabbccdd." + "0" * 64 + ".jsonl.gz"):
        hidden = key.hide(name)
        assert key.shown(hidden) == name and other.shown(hidden) is None and key.shown(name) is None
        assert re.fullmatch("[a-z2-7]{1,255}", hidden) and hidden == key.hide(name)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 5_000_000])
def test_what_is_stored_has_a_size_that_fits_its_content(key_file: Path, tmp_path: Path, size: int) -> None:
    key = read_key(key_file)
    for number in range(10):
        with (tmp_path / str(number)).open("wb") as file:
            key.encrypt([bytes(size)] if size else [], file)
        assert (tmp_path / str(number)).stat().st_size in encrypted_bytes(size)
    assert size not in encrypted_bytes(size) and size + 10_000_000 not in encrypted_bytes(size)


class PowerCut(BaseException):
    """The process ends here."""


def test_an_encrypted_upload_that_was_cut_off_goes_on_from_the_parts_that_arrived(
    s3_settings: Settings, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 5 * 2**20
    clip = tmp_path / "clip.mov"
    clip.write_bytes(bytes(range(256)) * (4 * part // 256))
    monkeypatch.setattr(BucketPlace, "part_bytes", part)
    key: Key = read_key(key_file)
    sent: list[int] = []
    send_part = BucketPlace.send_part

    def dying(self: BucketPlace, key: str, upload_id: str, number: int, content: bytes) -> str:
        if number == 3 and 3 not in sent:
            sent.append(number)
            raise PowerCut
        sent.append(number)
        return send_part(self, key, upload_id, number, content)

    monkeypatch.setattr(BucketPlace, "send_part", dying)

    def place() -> EncryptedPlace:
        return EncryptedPlace(BucketPlace(str(s3_settings.media), s3_settings, Pace(None)), key, tmp_path / "work")

    with pytest.raises(PowerCut):
        place().add(clip, "objects/ab/abcd", digest_file(clip).blake3)
    assert place().add(clip, "objects/ab/abcd", digest_file(clip).blake3) == digest_file(clip)
    assert sent == [1, 2, 3, 3, 4, 5]
    assert b"".join(place().read("objects/ab/abcd")) == clip.read_bytes()
    assert list((tmp_path / "work").iterdir()) == []

"""The same promises at every kind of place: S3 servers of different make, and each kind encrypted."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backup.cases import Case, completes, false_claims, is_whole
from tests.conftest import S3_SERVERS
from thatdam_pipelines.backup.audit import audit_target, drill
from thatdam_pipelines.backup.encrypted_place import EncryptedPlace
from thatdam_pipelines.backup.keys import new_key
from thatdam_pipelines.backup.manifest import find_snapshot, list_snapshots
from thatdam_pipelines.backup.prune import prune
from thatdam_pipelines.backup.restore import Wanted, restore
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, object_key
from thatdam_pipelines.backup.verify import verify_originals
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library

PLACES = [*S3_SERVERS, "disk, encrypted", *(f"{server}, encrypted" for server in S3_SERVERS)]


@pytest.fixture(params=PLACES)
def case(request: pytest.FixtureRequest, fresh: Callable[..., Case], tmp_path: Path) -> Case:
    """Six originals, and a target at each kind of place, with no snapshot yet."""
    case = fresh()
    server, _, encrypted = request.param.partition(", ")
    if server != "disk":
        made = request.getfixturevalue("in_bucket")(request.getfixturevalue(f"{server}_server"))
        case.settings = made.model_copy(update={"media": None, "home": case.settings.home})
        case.disk = case.disk.model_copy(update={"url": str(made.media).replace("/library", "/backup")})
    if encrypted:
        new_key(tmp_path / "key")
        case.disk = case.disk.model_copy(update={"key_file": tmp_path / "key"})
    return case


def original(case: Case, number: int) -> str:
    """BLAKE3 of one of the originals."""
    return digest_file(case.kept()[number]).blake3


def at(target: Target, key: str) -> tuple[Target, str]:
    """Where the bytes of a key are, however they are called there."""
    place = target.place
    if isinstance(place, EncryptedPlace):
        return target._root, place.stored(key)  # type: ignore[return-value]
    return place, key  # type: ignore[return-value]


def flip(target: Target, key: str, chance: random.Random) -> None:
    """Turn one bit of what is stored."""
    place, stored = at(target, key)
    content = bytearray(b"".join(place.read(stored)))
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    place.write(stored, bytes(content))


def test_a_second_snapshot_copies_only_what_is_new_and_all_of_it_is_good(case: Case) -> None:
    with Library(case.settings) as library:
        first, second = take_snapshot(library, case.disk), take_snapshot(library, case.disk)
    assert first.new_files == first.verified >= 6 and not first.missing
    assert second.new_files <= 1 and second.known_files == first.new_files - 1, "only the database differs"
    assert is_whole(case) and not false_claims(case)


def test_a_home_comes_back_from_it_byte_for_byte(case: Case, tmp_path: Path) -> None:
    with Library(case.settings) as library:
        take_snapshot(library, case.disk)
        assert drill(library, case.target(), seed=1).wrong == []
    target = case.target()
    name = find_snapshot(target, "latest")
    said = restore([target], name, Wanted(everything=True), tmp_path / "new", dry_run=True)
    done = restore([target], name, Wanted(everything=True), tmp_path / "new")
    assert (said.files, said.bytes) == (done.files, done.bytes) and not done.problems
    assert sorted(path.read_bytes() for path in (tmp_path / "new").rglob("*.MOV")) == sorted(case.contents.values())


def test_what_is_damaged_or_missing_there_is_named_and_made_good_by_the_next_snapshot(case: Case) -> None:
    with Library(case.settings) as library:
        take_snapshot(library, case.disk)
        target, flipped, gone = case.target(), original(case, 1), original(case, 2)
        flip(target, object_key(flipped), random.Random(1))
        target.place.remove(object_key(gone))
        wrong = audit_target(library, target, share=1.0).wrong
    assert {one["what"] for one in wrong} == {flipped, gone}
    assert completes(case)
    assert len(list(case.target().place.list("damaged"))) == 1


def test_a_flipped_bit_is_found_wherever_it_is(case: Case) -> None:
    with Library(case.settings) as library:
        take_snapshot(library, case.disk)
    target, blake3, chance = case.target(), original(case, 5), random.Random(2)
    place, stored = at(target, object_key(blake3))
    good = b"".join(place.read(stored))
    for _ in range(25):
        flip(target, object_key(blake3), chance)
        assert not target.holds(blake3)
        place.write(stored, good)
    for cut in (good[:-1], good[:100], b"", good + b"x"):
        place.write(stored, cut)
        assert not target.holds(blake3)
    place.write(stored, good)
    assert target.holds(blake3)


def test_a_damaged_manifest_costs_nothing_while_its_spare_is_good(case: Case) -> None:
    with Library(case.settings) as library:
        take_snapshot(library, case.disk)
        target = case.target()
        (name,) = list_snapshots(target)
        flip(target, f"snapshots/{name.file}", random.Random(3))
        assert len(audit_target(library, target, share=0.01).wrong) == 1
    assert is_whole(case)


def test_the_dry_run_of_pruning_and_the_real_one_agree_and_what_stays_is_whole(case: Case) -> None:
    with Library(case.settings) as library:
        for _ in range(3):
            take_snapshot(library, case.disk)
        said = prune(library, case.target(), dry_run=True, grace_s=0)
        assert len(list_snapshots(case.target())) == 3
        done = prune(library, case.target(), grace_s=0)
    assert (said.removed, said.objects, said.bytes) == (done.removed, done.objects, done.bytes)
    assert len(done.removed) == 2 and done.objects == 2
    assert len(list_snapshots(case.target())) == 1 and is_whole(case) and not false_claims(case)


def test_an_original_is_healed_from_it(case: Case) -> None:
    with Library(case.settings) as library:
        take_snapshot(library, case.disk)
        victim = case.kept()[0]
        victim.chmod(0o644)
        victim.write_bytes(b"rotten")
        assert verify_originals(library, heal_from=[case.target()]).unhealed == 0
    assert is_whole(case)

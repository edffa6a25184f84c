import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from thatdam_pipelines.embed.l3 import relate_batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import FINGERPRINTS, RELATIONS
from thatdam_pipelines.media.fingerprint import Fingerprint
from thatdam_pipelines.media.fingerprints import fingerprint_batch, fingerprints_recipe
from thatdam_pipelines.samples.copies import Copy, write_set
from thatdam_pipelines.samples.related import fingerprints_of, judge, relate_set
from thatdam_pipelines.settings import Settings

SEED = 31
BATCHES = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Copy], dict[str, Fingerprint]]:
    """Three scenes of three takes each, and four copies of each scene's first take, of twelve kinds in all."""
    folder = tmp_path_factory.mktemp("copies")
    copies = write_set(folder, SEED, scenes=3, seconds=9.0, kinds=4)
    return copies, fingerprints_of(folder, copies)


@pytest.fixture(scope="module")
def related_once(
    made: tuple[list[Copy], dict[str, Fingerprint]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, pl.DataFrame]:
    settings = Settings(home=tmp_path_factory.mktemp("related"))
    with Library(settings) as library:
        return settings, relate_set(library, *made, batches=BATCHES, seed=SEED)


@pytest.fixture
def related(related_once: tuple[Settings, pl.DataFrame], tmp_path: Path) -> Iterator[tuple[Library, pl.DataFrame]]:
    """The related library, and the relations found when each batch came."""
    settings, found = related_once
    shutil.copytree(settings.home, tmp_path / "home")
    with Library(settings.model_copy(update={"home": tmp_path / "home"})) as library:
        yield library, found


def test_copies_are_found_with_their_source_and_its_time_and_other_takes_are_none(
    made: tuple[list[Copy], dict[str, Fingerprint]], related: tuple[Library, pl.DataFrame]
) -> None:
    judged = judge(made[0], related[1])
    assert judged.false == []
    assert judged.found >= judged.copies - 1, judged.missed
    assert judged.sourced >= judged.copies - 1, judged.misplaced


def test_relating_again_changes_no_relation_and_an_earlier_batch_learns_of_later_ones(
    related: tuple[Library, pl.DataFrame],
) -> None:
    library, first = related
    for number in range(BATCHES):
        assert relate_batch(library, f"b{number}").computed == 0
        relate_batch(library, f"b{number}", anew=True)
    again = pl.concat([library.tables.read(RELATIONS, f"b{number}") for number in range(BATCHES)])
    columns = [name for name in RELATIONS.schema if name != "batch_id"]
    known, now = ({str(row) for row in frame.select(columns).to_dicts()} for frame in (first, again))
    assert known <= now and again.height > first.height
    written = [library.tables.path(RELATIONS, f"b{number}") for number in range(BATCHES)]
    before = [path.stat().st_mtime_ns for path in written]
    relate_batch(library, "b0", anew=True)
    assert [path.stat().st_mtime_ns for path in written] == before


def test_the_index_is_made_again_when_it_is_gone_and_forgets_what_was_rewritten(
    related: tuple[Library, pl.DataFrame],
) -> None:
    library, _ = related
    kept = library.tables.read(RELATIONS, "b2")
    for path in (library.tables.root / "compact" / "fingerprint_keys").iterdir():
        path.unlink()
    relate_batch(library, "b2", anew=True)
    assert library.tables.read(RELATIONS, "b2").equals(kept)
    library.tables.write(FINGERPRINTS, "b0", library.tables.read(FINGERPRINTS, "b0").clear())
    relate_batch(library, "b2", anew=True)
    gone = set(library.tables.read(FINGERPRINTS, "b1")["media_id"]) | set(
        library.tables.read(FINGERPRINTS, "b2")["media_id"]
    )
    left = library.tables.read(RELATIONS, "b2")
    assert left.height < kept.height
    assert set(left["media_id"]) | set(left["other_id"]) <= gone


def test_files_shot_within_the_hour_and_near_by_are_related(tmp_path: Path) -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    with Library(Settings(home=tmp_path / "places")) as library:
        empty = {column.name: b"" for column in FINGERPRINTS.columns if column.dtype == pl.Binary}
        common = {"recipe": fingerprints_recipe(library.settings).id, "kind": "audio", "size_bytes": 1} | empty
        shot = {"a": (0, 52.5163), "b": (20, 52.5166), "c": (50, 52.6), "d": (300, 52.5163)}
        for number, (name, (minutes, latitude)) in enumerate(shot.items()):
            row = {"media_id": name, "batch_id": f"b{number}", "shot_utc": noon + timedelta(minutes=minutes)}
            row |= {"latitude_deg": latitude, "longitude_deg": 13.3777, "duration_s": 5.0}
            library.tables.write(FINGERPRINTS, f"b{number}", FINGERPRINTS.frame([common | row]))
            relate_batch(library, f"b{number}")
        found = pl.concat([library.tables.read(RELATIONS, f"b{number}") for number in range(4)])
    pairs: dict[str, set[str]] = {relation: set() for relation in ("same_session", "same_place")}
    for row in found.to_dicts():
        pairs[row["relation"]].add(row["media_id"] + row["other_id"])
    assert pairs == {"same_session": {"ab", "bc"}, "same_place": {"ab", "ad", "bd"}}


def test_what_was_recorded_together_is_one_session_and_nothing_is_related_to_itself(tmp_path: Path) -> None:
    with Library(Settings(home=tmp_path / "group")) as library:
        empty = {column.name: b"" for column in FINGERPRINTS.columns if column.dtype == pl.Binary}
        common = {"recipe": fingerprints_recipe(library.settings).id, "kind": "audio", "size_bytes": 1} | empty
        together = {"batch_id": "b0", "group_id": "take-12", "duration_s": 5.0}
        rows = [common | together | {"media_id": name, "group_camera": name} for name in "ab"]
        library.tables.write(FINGERPRINTS, "b0", FINGERPRINTS.frame(rows))
        relate_batch(library, "b0")
        found = library.tables.read(RELATIONS, "b0").to_dicts()
    pairs = {(row["relation"], row["media_id"], row["other_id"]) for row in found}
    assert pairs == {("same_session", "a", "b")}


def test_real_proxies_have_fingerprints_and_bad_ones_cost_only_themselves(
    library: Library, ids: dict[str, str]
) -> None:
    report = fingerprint_batch(library, "b1")
    assert (report.total, report.failures) == (4, [])
    rows = {row["media_id"]: row for row in library.tables.read(FINGERPRINTS, "b1").to_dicts()}
    looks = {name: len(Fingerprint.of_row(rows[ids[name]]).looks) for name in ids}
    assert looks["three.mp4"] == pytest.approx(72, abs=3) and looks["still.jpg"] == 1 and looks["memo.m4a"] == 0
    assert len(Fingerprint.of_row(rows[ids["memo.m4a"]]).sound)
    assert fingerprint_batch(library, "b1").reused == 4
    relate_batch(library, "b1")
    assert library.tables.read(RELATIONS, "b1").filter(pl.col("relation") == "near_duplicate").height == 0

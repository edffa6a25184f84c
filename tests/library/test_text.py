"""The text index: plain words find names, facts and tags; the tables alone rebuild it; a kill leaves it whole."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, PROBES, SCENES, TAGS
from thatdam_pipelines.library.tables import Tables
from thatdam_pipelines.library.text import TextHit, TextIndex
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


@pytest.fixture
def index(settings: Settings) -> Iterator[TextIndex]:
    with TextIndex(settings.text_path) as index:
        yield index


def put(
    library: Library, name: str, *, batch: str = "b1", media_id: str | None = None, kind: str = "video",
    folder: str = "", album: str | None = None, scenes: dict[str, list[str]] | None = None, new: bool = True,
    **probe: Any,
) -> str:  # fmt: skip
    """Add a file, with scenes tagged by the second they begin at, to a batch's tables; gives its media id."""
    tables = library.tables
    media_id = media_id or f"{abs(hash((name, batch))):032x}"[:32]
    owned = {"media_id": media_id, "batch_id": batch}
    size = {"size_bytes": 1}
    if new:
        hashes = {"blake3": "0", "xxh128": "0", "first_seen_utc": NOON}
        add(tables, MEDIA, batch, {**owned, **size, **hashes, "name": name, "kind": kind})
    where = {"path": name, "in_store": True, "source_path": f"/in/{folder}/{name}", "folder": folder, "name": name}
    when = {"mode": "copy", "duplicate": not new, "modified_utc": NOON, "verified_utc": NOON, "album": album}
    if album:
        library.ledger.curation.propose({media_id: change_of(add_albums=[album])}, Author.now("/in", "folder"))
    add(tables, LOCATIONS, batch, {**owned, **size, **where, **when})
    made = {**owned, "recipe": "r"}
    if new and kind != "sidecar":
        shown = {"kind": kind, "container": "mov", "mime": "video/mp4", "has_audio": True, "warnings": []}
        add(tables, PROBES, batch, {**made, **shown, "duration_s": 60.0, "created_utc": NOON, **probe})
    for start, tags in (scenes or {}).items():
        scene_id = f"{media_id}:s{int(start) * 1000:09d}"
        span = {"start_s": float(start), "end_s": float(start) + 5, "hero_s": float(start)}
        add(tables, SCENES, batch, {**made, **span, "scene_id": scene_id, "scene_index": 0, "transition_in": "cut"})
        for tag in tags:
            add(tables, TAGS, batch, {**made, "item_id": scene_id, "tag": tag, "score": 1.0, "method": "measure"})
    return media_id


def add(tables: Tables, table: Any, batch: str, row: dict[str, Any]) -> None:
    tables.write(table, batch, pl.concat([tables.read(table, batch), table.frame([row])]))


def names(hits: list[TextHit]) -> list[str]:
    return [hit.media_id for hit in hits]


def test_a_scene_is_found_by_its_tag_with_its_times_and_the_file_by_all_its_tags(
    library: Library, index: TextIndex
) -> None:
    clip = put(library, "a.mp4", scenes={"0": ["beach"], "5": ["sunset", "sea"]})
    index.index_batch(library, "b1")
    scene, whole = sorted(index.query("sunset"), key=lambda hit: hit.level, reverse=True)
    assert (scene.item_id, scene.level, scene.start_s, scene.end_s) == (f"{clip}:s000005000", "l2", 5.0, 10.0)
    assert scene.fields == ["tags"] and scene.snippet == "sea [sunset]" and scene.match == "all words"
    assert (whole.item_id, whole.level, whole.start_s, whole.end_s) == (clip, "l0", 0.0, 60.0)
    assert names(index.query("beach sunset")) == [clip], "only the file has both"


def test_what_the_file_is_known_by_narrows_scenes_but_does_not_find_every_scene(
    library: Library, index: TextIndex
) -> None:
    one = put(library, "harbour.mp4", scenes={"0": ["boat"], "5": ["crane"]})
    put(library, "lake.mp4", scenes={"0": ["boat"]})
    index.index_batch(library, "b1")
    assert {hit.item_id for hit in index.query("boat harbour")} == {one, f"{one}:s000000000"}
    assert [hit.level for hit in index.query("harbour")] == ["l0"]


@pytest.mark.parametrize(
    "text",
    [
        "GX010042", "gx010042.mp4", "010042", "10042", "GX01", "Wedding", "smith wedding", "Sony", "ILCE-7SM3", "hevc",
        "h265", "4k", "hdr", "hlg", "portrait", "vertical", "silent", "120fps", "slow motion", "2026-11-20", "2026",
        "november 2026", "friday", "nov", "client", "DCIM", "mov", "video", '"2026-11-20"', "the wedding of smith",
    ],
)  # fmt: skip
def test_a_file_is_found_by_every_word_it_is_known_by(library: Library, index: TextIndex, text: str) -> None:
    put(library, "other.mp4", created_utc=datetime(2025, 1, 1, tzinfo=UTC), container="matroska", kind="audio")
    clip = put(
        library, "GX010042.MP4", folder="Smith Wedding/DCIM", album="client", camera_make="Sony", hdr="hlg",
        camera_model="ILCE-7SM3", video_codec="hevc", display_width=2160, display_height=3840, frame_rate_fps=120.0,
        has_audio=False,
    )  # fmt: skip
    index.index_batch(library, "b1")
    assert names(index.query(text)) == [clip]


def test_part_of_a_name_is_looked_for_when_words_find_nothing(library: Library, index: TextIndex) -> None:
    clip = put(library, "interview_with_Müller🎬.mov")
    put(library, "other.mov")
    index.index_batch(library, "b1")
    for text in ("nterv", "erview_wi", "ULLER", "🎬", "with üller"):
        (hit,) = index.query(text)
        assert hit.media_id == clip and hit.match == "part of name" and hit.fields == ["name"]
        assert hit.snippet == "interview_with_Müller🎬.mov"
    assert index.query("nterv -müll") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Café.mp4", "cafe"), ("cafe.mp4", "CAFÉ"), ("Cafe\u0301.mp4", "café"), ("Straße.mp4", "strasse"),
        ("Strasse.mp4", "STRASSE"), ("Żółw.mov", "zolw"), ("東京の夜景.mp4", "夜景"), ("Москва.mp4", "МОСКВА"),
        ("ﬁlm.mp4", "film"), ("naïve-take.mp4", "naive take"),
    ],
)  # fmt: skip
def test_accents_case_and_spelling_do_not_matter(library: Library, index: TextIndex, name: str, text: str) -> None:
    clip = put(library, name)
    put(library, "other.mp4")
    index.index_batch(library, "b1")
    assert names(index.query(text)) == [clip]


def test_phrases_exclusions_and_the_beginning_of_the_last_word(library: Library, index: TextIndex) -> None:
    one = put(library, "1.mp4", scenes={"0": ["red car"]})
    two = put(library, "2.mp4", scenes={"0": ["car", "red"], "5": ["night"]})
    index.index_batch(library, "b1")
    assert set(names(index.query('"red car"'))) == {one}
    assert set(names(index.query("red car"))) == {one, two}
    assert {hit.item_id for hit in index.query("red -night")} == {one, f"{one}:s000000000", f"{two}:s000000000"}
    assert set(names(index.query("re"))) == {one, two}
    assert set(names(index.query("red ca"))) == {one, two}
    assert index.query('"re"') == [], "a phrase is not a beginning"


def test_a_word_that_is_there_is_not_taken_for_the_beginning_of_another(library: Library, index: TextIndex) -> None:
    clip = put(library, "wedding.mp4")
    put(library, "b.mp4", scenes={"0": ["wednesday"]})
    index.index_batch(library, "b1")
    assert names(index.query("wedding")) == [clip]


def test_where_no_document_has_every_word_those_with_some_of_them_are_given(library: Library, index: TextIndex) -> None:
    clip = put(library, "1.mp4", scenes={"0": ["beach", "dog"]})
    put(library, "2.mp4", scenes={"0": ["sea"]})
    index.index_batch(library, "b1")
    hits = index.query("a dog running on the beach by the sea at dawn")
    assert {hit.item_id for hit in hits} == {clip, f"{clip}:s000000000"}
    assert {hit.match for hit in hits} == {"some words"}


@pytest.mark.parametrize("text", ["", "  ", "-", "-beach", '"', '""', "!!!", "\x00", "\udcff", "(", "*", "zzzzqqqq"])
def test_nothing_to_look_for_or_nothing_there_gives_no_hit(library: Library, index: TextIndex, text: str) -> None:
    put(library, "a.mp4", scenes={"0": ["beach"]})
    index.index_batch(library, "b1")
    assert index.query(text) == []
    assert index.query("beach", media_ids=[]) == [] and index.query("beach", limit=0) == []


@pytest.mark.parametrize(
    "text",
    [
        "beach AND", "NOT beach", "beach OR NOT", "name:beach", "tags : beach", "^beach", "beach*",
        "{name tags}: beach", "NEAR(beach sea, 3)",
        "beach)", "((beach", 'be"ach', "beach'; DROP TABLE words; --", "beach + sea", '"beach',
        "beach -", "- beach", '-"', "--beach", "beach:", "col:beach:x",
    ],
)  # fmt: skip
def test_text_is_never_read_as_an_expression(library: Library, index: TextIndex, text: str) -> None:
    put(library, "a.mp4", scenes={"0": ["beach"]})
    index.index_batch(library, "b1")
    index.query(text)
    assert index.count() == 2


def test_only_the_given_media_are_answered_and_no_more_than_asked_for(library: Library, index: TextIndex) -> None:
    clips = [put(library, f"{number}.mp4", scenes={"0": ["beach"]}) for number in range(9)]
    index.index_batch(library, "b1")
    assert set(names(index.query("beach", media_ids=set(clips[:2])))) == set(clips[:2])
    assert set(names(index.query("beac", 50, clips[3:5]))) == set(clips[3:5])
    assert len(index.query("beach", 5)) == 5 and len(index.query("mp4", 5)) == 5


def test_another_place_of_a_file_finds_the_same_file_once(library: Library, index: TextIndex) -> None:
    clip = put(library, "C0001.MP4")
    put(library, "wedding kiss.mp4", batch="b2", media_id=clip, album="best of", new=False)
    for batch in ("b1", "b2"):
        index.index_batch(library, batch)
    for text in ("C0001", "kiss", "best of", "mp4"):
        (hit,) = index.query(text)
        assert (hit.item_id, hit.end_s) == (clip, 60.0)
    assert index.places({clip, "unknown"})[clip].path == "/in//C0001.MP4"
    assert index.places({clip})[clip].duration_s == 60.0


def test_a_sidecar_is_not_found_but_a_file_that_could_not_be_probed_is(library: Library, index: TextIndex) -> None:
    put(library, "C0001M01.XML", kind="sidecar")
    broken = put(library, "C0001.MP4")
    library.tables.write(PROBES, "b1", library.tables.read(PROBES, "b1").clear())
    index.index_batch(library, "b1")
    assert names(index.query("C0001")) == [broken]


def test_indexing_again_does_only_what_changed(library: Library, index: TextIndex) -> None:
    other = put(library, "b.mp4", batch="b2")
    index.index_batch(library, "b2")
    put(library, "a.mp4", scenes={"0": ["beach"], "5": ["sea"]})
    first, again = index.index_batch(library, "b1"), index.index_batch(library, "b1")
    assert (first.added, first.removed, first.unchanged, first.expected, first.present) == (3, 0, 0, 3, 3)
    assert (again.added, again.removed, again.unchanged, again.expected, again.present) == (0, 0, 3, 3, 3)
    tags = library.tables.read(TAGS, "b1")
    library.tables.write(TAGS, "b1", tags.with_columns(tag=pl.col("tag").replace("sea", "lake")))
    changed = index.index_batch(library, "b1")
    assert (changed.added, changed.removed, changed.unchanged) == (2, 2, 1), "the scene, and the file it is in"
    assert index.query("sea") == [] and len(index.query("lake")) == 2
    for table in (MEDIA, LOCATIONS, PROBES, SCENES, TAGS):
        library.tables.write(table, "b1", library.tables.read(table, "b1").clear())
    gone = index.index_batch(library, "b1")
    assert (gone.removed, gone.present, index.count()) == (3, 0, 1)
    assert names(index.query("mp4")) == [other]


def everything(path: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as con:
        return con.execute(
            "SELECT item_id, batch_id, level, start_s, end_s, path, digest, words.* FROM documents "
            "JOIN words ON words.rowid = documents.id ORDER BY item_id, batch_id"
        ).fetchall()


def test_a_rebuild_from_the_tables_alone_gives_the_same_index(library: Library, index: TextIndex) -> None:
    for number in range(3):
        write_batch(library.tables, f"b{number}", made_up_batch(f"b{number}", first=5 * number))
        index.index_batch(library, f"b{number}")
    before = everything(index.path)
    with contextlib.closing(sqlite3.connect(index.path)) as con:
        con.execute("DELETE FROM documents WHERE batch_id = 'b1'")
        con.execute("INSERT INTO documents VALUES (999, 'x', 'b9', 'x', 'l0', 0, 0, NULL, x'00', NULL, NULL, NULL)")
        con.commit()
    report = index.rebuild(library)
    assert everything(index.path) == before
    assert (report.expected, report.present, index.count()) == (45, 45, 45)
    assert [path.name for path in index.path.parent.iterdir() if ".part" in path.name] == []


def test_a_reader_that_stays_open_sees_the_rebuilt_index(library: Library, index: TextIndex) -> None:
    put(library, "a.mp4")
    with TextIndex(index.path) as reader:
        assert reader.query("mp4") == []
        index.rebuild(library)
        assert len(reader.query("mp4")) == 1


@pytest.mark.parametrize("damage", [b"this is no database at all" * 40, b""])
def test_a_damaged_index_says_so_and_is_rebuilt(library: Library, settings: Settings, damage: bytes) -> None:
    put(library, "a.mp4")
    with TextIndex(settings.text_path) as index:
        index.index_batch(library, "b1")
    for path in settings.text_path.parent.glob("text.db*"):
        path.unlink()
    settings.text_path.write_bytes(damage)
    with TextIndex(settings.text_path) as index:
        if damage:
            with pytest.raises(QueryError, match="thatdam index rebuild text"):
                index.query("mp4")
        index.rebuild(library)
        assert len(index.query("mp4")) == 1


def test_an_index_of_another_version_is_refused_until_the_next_batch_makes_it_anew_for_all(
    library: Library, settings: Settings
) -> None:
    put(library, "a.mp4")
    put(library, "b.mp4", batch="b2")
    with contextlib.closing(sqlite3.connect(settings.home / "text.db")) as con:
        con.executescript("CREATE TABLE documents (id INTEGER); PRAGMA user_version = 77;")
    with TextIndex(settings.text_path) as index:
        with pytest.raises(QueryError, match=r"another version.*thatdam index rebuild text"):
            index.query("mp4")
        report = index.index_batch(library, "b2")
        assert (report.expected, report.present) == (1, 1)
        assert {hit.snippet for hit in index.query("mp4")} == {"a.[mp4]", "b.[mp4]"}


def test_a_lost_index_is_made_anew_for_all_by_the_next_batch_even_after_searches(
    library: Library, settings: Settings
) -> None:
    put(library, "a.mp4")
    put(library, "b.mp4", batch="b2")
    with TextIndex(settings.text_path) as index:
        assert index.query("mp4") == []
        assert index.count() == 0
    with TextIndex(settings.text_path) as index:
        index.index_batch(library, "b2")
        assert index.count() == 2


def test_writers_at_once_wait_for_each_other_and_readers_never_do(library: Library, settings: Settings) -> None:
    for number in range(6):
        write_batch(library.tables, f"b{number}", made_up_batch(f"b{number}", 20, first=20 * number))

    def write(batch: str) -> None:
        with TextIndex(settings.text_path) as index:
            index.index_batch(library, batch)

    threads = [threading.Thread(target=write, args=(f"b{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    with TextIndex(settings.text_path) as reader:
        while any(thread.is_alive() for thread in threads):
            assert reader.count() % 60 == 0, "a batch is there as a whole or not at all"
        assert reader.count() == 360


_WRITER = """
import sys
from pathlib import Path
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.settings import Settings
settings = Settings(home=Path(sys.argv[1]))
print("ready", flush=True)
with Library(settings) as library, TextIndex(settings.text_path) as index:
    while True:
        index.index_batch(library, "b0")
        index.rebuild(library)
        print("round", flush=True)
"""


def test_a_killed_writer_leaves_a_whole_index(library: Library, settings: Settings) -> None:
    write_batch(library.tables, "b0", made_up_batch("b0", 60))
    write_batch(library.tables, "b1", made_up_batch("b1", 60, first=60))
    for turn in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(settings.home)], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.04 * turn)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with TextIndex(settings.text_path) as index:
            if index.count() == 0:
                continue
            assert index.count() == 360
            with contextlib.closing(sqlite3.connect(settings.text_path)) as con:
                assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                con.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    with TextIndex(settings.text_path) as index:
        assert index.rebuild(library).present == 360
        assert len(index.query("GX000001")) == 1
    assert [path.name for path in settings.home.iterdir() if ".part" in path.name] == []

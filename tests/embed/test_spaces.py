"""Vector spaces side by side: the first one answers until another, filled and no worse, is promoted."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from thatdam_pipelines.embed.embedder import open_embedder
from thatdam_pipelines.embed.spaces import open_serving, serve, serve_first, served, vectors_held
from thatdam_pipelines.errors import ModelError, QueryError
from thatdam_pipelines.fill_plan import plan_fill
from thatdam_pipelines.ingest_command import run_every_batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROXIES
from thatdam_pipelines.samples.tiny import CHECKPOINT, CONFIG
from thatdam_pipelines.search.golden import Golden, read_golden
from thatdam_pipelines.search.moments import Moment
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.vector_spaces import compare, list_spaces, promote, rollback

DESCRIPTOR = "descriptor/1"
REUSED = ("raw_media", "media", "probes", "proxies", "frames", "scenes")
"""Tables that no embedder changes."""


@pytest.fixture(scope="module")
def unfilled(footage: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A library in which the tiny model answers; the settings name the descriptor, of which there are no vectors."""
    home = tmp_path_factory.mktemp("spaces") / "home"
    shutil.copytree(footage.settings.home, home, symlinks=True)
    return footage.settings.model_copy(update={"home": home, "embedder": "descriptor"})


@pytest.fixture(scope="module")
def filled(unfilled: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same, after the descriptor's vectors were filled in beside those of the tiny model."""
    home = tmp_path_factory.mktemp("filled") / "home"
    shutil.copytree(unfilled.home, home, symlinks=True)
    settings = unfilled.model_copy(update={"home": home})
    assert run_every_batch(settings, console=Console(quiet=True)).finished
    return settings


@pytest.fixture
def both(filled: Settings, tmp_path: Path) -> Settings:
    """A copy of the filled library, to promote in."""
    shutil.copytree(filled.home, tmp_path / "home", symlinks=True)
    return filled.model_copy(update={"home": tmp_path / "home"})


@pytest.fixture
def golden(footage: Any, tmp_path: Path) -> Path:
    """A caption of each scene of the clips, and where it is shown."""
    queries = [
        {"query": shown.caption, "path": str(file.path), "start_s": shown.start_s, "end_s": shown.end_s}
        for file in footage.files
        for shown in file.shown
        if len(file.shown) > 1
    ]
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(queries))
    return path


@pytest.fixture
def tiny(footage: Any, tmp_path: Path) -> Settings:
    """An empty library whose settings name a copy of the tiny checkpoint."""
    copy = tmp_path / "models" / CHECKPOINT.name
    copy.parent.mkdir()
    shutil.copy(CHECKPOINT, copy)
    return Settings(home=tmp_path / "home", embedder=f"open_clip:{CONFIG.stem}@{copy}", open_clip_config=CONFIG)


@pytest.fixture
def library(tiny: Settings) -> Iterator[Library]:
    with Library(tiny) as library:
        yield library


def test_the_first_space_that_is_indexed_answers_searches(footage: Any) -> None:
    with Library(footage.settings) as library:
        recorded = served(library.ledger)
    assert recorded is not None and recorded.space == open_embedder(footage.settings).space


def test_search_keeps_to_the_serving_space_and_says_what_to_do(footage: Any, unfilled: Settings) -> None:
    query = Query(text=footage.files[0].shown[0].caption)
    with Searcher(footage.settings) as searcher:
        before = searcher.search(query)
    with Searcher(unfilled) as searcher:
        after = searcher.search(query)
    assert (after.moments, after.embedder) == (before.moments, before.embedder)
    note = next(note for note in after.notes if "another embedder, descriptor" in note)
    assert "`thatdam models fill`" in note and "`thatdam models promote`" in note
    assert f"THATDAM_EMBEDDER={footage.settings.embedder} THATDAM_OPEN_CLIP_CONFIG={CONFIG}" in note
    assert not any("another embedder" in note for note in before.notes)


def test_filling_computes_vectors_only(unfilled: Settings, filled: Settings) -> None:
    assert parquet(filled, REUSED) == parquet(unfilled, REUSED)
    assert files_below(filled.home / "media") == files_below(unfilled.home / "media")
    with Library(unfilled) as before, Library(filled) as after:
        tiny = [vectors_held(library.tables).filter(space=space_of(filled)) for library in (before, after)]
    assert tiny[0].sort("level", "media_id").equals(tiny[1].sort("level", "media_id"))


def test_every_space_is_listed_with_what_it_covers(unfilled: Settings, filled: Settings) -> None:
    empty, full = ({space.space: space for space in list_spaces(home).spaces} for home in (unfilled, filled))
    tiny = space_of(filled)
    assert set(empty) == set(full) == {DESCRIPTOR, tiny}
    assert empty[DESCRIPTOR].share == 0 and full[DESCRIPTOR].share == full[tiny].share > 0.9
    assert full[DESCRIPTOR].vectors == full[tiny].vectors and all(full[tiny].vectors.values())
    assert (full[tiny].serves, full[tiny].computed) == (True, False)
    assert (full[DESCRIPTOR].serves, full[DESCRIPTOR].computed) == (False, True)


def test_a_space_without_vectors_is_refused_even_by_force(unfilled: Settings) -> None:
    result = promote(unfilled, None, None, force=True)
    assert not result.promoted and "run `thatdam models fill`" in result.problems[0]


def test_a_space_that_lacks_media_is_refused_and_told_how_many(both: Settings, golden: Path) -> None:
    with Library(both) as library:
        held = vectors_held(library.tables).filter(space=DESCRIPTOR, level="l2")
        lost = held["media_id"].unique().sort().head(2).to_list()
    take_away(both, DESCRIPTOR, lost)
    result = promote(both, None, golden, force=False)
    assert not result.promoted and result.served == space_of(both)
    assert any(problem.startswith("2 files lack vectors of descriptor/1") for problem in result.problems)


def test_a_space_that_finds_less_is_refused_unless_forced_and_the_better_one_comes_back(
    footage: Any, both: Settings, golden: Path
) -> None:
    tiny = space_of(both)
    refused = promote(both, None, golden, force=False)
    assert refused.serving is not None and refused.candidate is not None
    assert not refused.promoted and refused.candidate.at_1 < refused.serving.at_1 >= 0.9
    assert list_spaces(both).spaces[1].serves

    forced = promote(both, DESCRIPTOR, golden, force=True)
    assert forced.promoted and forced.problems == refused.problems
    picture = next(file.path for file in footage.files if file.path.suffix == ".JPG" and not file.broken)
    named_tiny = both.model_copy(update={"embedder": footage.settings.embedder})
    with Searcher(named_tiny) as searcher:
        answered = searcher.search(Query(image=picture))
    assert answered.embedder == "descriptor" and Path(answered.moments[0].path).name == picture.name
    assert any("another embedder, open_clip:thatdam-tiny" in note for note in answered.notes)

    back = promote(named_tiny, tiny, golden, force=False)
    assert back.promoted and back.problems == [] and back.served == DESCRIPTOR
    with Searcher(both) as searcher:
        assert searcher.embedder.space == tiny


def test_a_plan_counts_what_a_fill_computes_and_a_filled_space_lacks_nothing(
    unfilled: Settings, filled: Settings
) -> None:
    plan = plan_fill(unfilled)
    held = next(space for space in list_spaces(filled).spaces if space.space == DESCRIPTOR).vectors
    assert (plan.files, plan.frames, plan.scenes) == (held["l0"], held["l1"], held["l2"])
    assert plan.away == 0 and plan.seconds is not None and plan.seconds > 0
    assert plan.vector_bytes == sum(held.values()) * plan.dimensions * 4
    done = plan_fill(filled)
    assert (done.files, done.frames, done.scenes, done.vector_bytes, done.seconds) == (0, 0, 0, 0, 0)
    assert "lacks nothing" in done.told()


def test_a_plan_passes_over_damaged_proxies(unfilled: Settings, tmp_path: Path) -> None:
    media = tmp_path / "media"
    shutil.copytree(unfilled.media_url, media, symlinks=True)
    with Library(unfilled) as library:
        paths = [
            path
            for batch_id in library.tables.batches(PROXIES)
            for path in library.tables.read(PROXIES, batch_id)["proxy_path"].drop_nulls()
        ]
    for path in paths:
        (media / path).chmod(0o644)
        (media / path).write_bytes(b"rotten")
    plan = plan_fill(unfilled.model_copy(update={"media": str(media)}))
    assert plan.frames > 0 and plan.seconds is None and "for a time nobody knows" in plan.told()


def test_a_comparison_changes_nothing_and_names_what_is_found_worse(both: Settings, golden: Path) -> None:
    found = compare(both, golden)
    assert (found.served, found.space) == (space_of(both), DESCRIPTOR)
    assert found.candidate.at_1 < found.serving.at_1
    worst = found.answers[0]
    assert worst.serving == 1 != worst.candidate
    with Searcher(both) as searcher:
        assert searcher.embedder.space == found.served
    with pytest.raises(QueryError, match="no other space"):
        compare(both.model_copy(update={"embedder": f"open_clip:{CONFIG.stem}@{CHECKPOINT}"}), golden)


def test_a_rollback_brings_back_what_answered_before_and_says_what_it_lacks(both: Settings) -> None:
    tiny = space_of(both)
    with pytest.raises(QueryError, match="no other space ever answered"):
        rollback(both)
    promote(both, None, None, force=True)
    with Searcher(both) as searching:
        lost = first_with_scenes(both, tiny)
        take_away(both, tiny, [lost])
        result = rollback(both)
        assert (result.space, result.served, result.lacking) == (tiny, DESCRIPTOR, 1)
        assert f"THATDAM_EMBEDDER=open_clip:{CONFIG.stem}@" in result.embedder
        assert searching.embedder.space == DESCRIPTOR
    with Searcher(both) as searcher:
        assert searcher.embedder.space == tiny
    assert rollback(both).space == DESCRIPTOR


def test_golden_queries_are_asked_for_and_found_in_the_home_folder(both: Settings, golden: Path) -> None:
    without = promote(both, None, None, force=False)
    assert not without.promoted and "golden.json" in without.problems[0] and "--force" in without.problems[0]
    shutil.copy(golden, both.home / "golden.json")
    assert promote(both, None, None, force=False).serving is not None


def test_a_space_that_the_settings_do_not_compute_is_a_wrong_argument(both: Settings) -> None:
    with pytest.raises(QueryError, match="Set THATDAM_EMBEDDER"):
        promote(both, space_of(both), None, force=False)


def test_a_checkpoint_that_is_gone_or_replaced_is_told_with_the_next_step(library: Library, tiny: Settings) -> None:
    serve_first(library.ledger, open_embedder(tiny))
    other = tiny.model_copy(update={"embedder": "descriptor", "open_clip_config": None})
    checkpoint = Path(tiny.embedder.partition("@")[2])
    assert open_serving(other).embedder.space == open_embedder(tiny).space
    forget_open_embedders()
    checkpoint.write_bytes(CHECKPOINT.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"not those that .* Put the old files back, or set THATDAM_EMBEDDER"):
        open_serving(other)
    forget_open_embedders()
    checkpoint.unlink()
    with pytest.raises(ModelError, match=r"cannot be opened any more .* Put its files back, or set THATDAM_EMBEDDER"):
        open_serving(other)


def test_a_library_is_searched_though_the_settings_name_a_model_that_is_not_there(library: Library) -> None:
    serve(library.ledger, open_embedder(Settings(embedder="descriptor")))
    broken = library.settings.model_copy(update={"embedder": f"open_clip:{CONFIG.stem}@/no/such.safetensors"})
    serving = open_serving(broken)
    assert serving.embedder.name == "descriptor" and "/no/such.safetensors" in serving.notes[0]


def test_who_serves_first_stays(library: Library, tiny: Settings) -> None:
    serve_first(library.ledger, open_embedder(Settings(embedder="descriptor")))
    serve_first(library.ledger, open_embedder(tiny))
    recorded = served(library.ledger)
    assert recorded is not None and recorded.space == DESCRIPTOR


def test_golden_queries_are_read_from_csv_as_from_json(footage: Any, tmp_path: Path) -> None:
    path = tmp_path / "golden.csv"
    path.write_text("query,path,start_s,end_s\na red ball,CLIP0001.MOV,1,2.5\nanything,CLIP0002.MOV,,\n")
    with Library(footage.settings) as library:
        first, second = read_golden(library, path)
        path.write_text(f"query,media_id\na red ball,{first.media_id}\n")
        assert read_golden(library, path)[0].media_id == first.media_id
    assert (first.start_s, first.end_s) == (1, 2.5) and second.start_s is None


@pytest.mark.parametrize(
    "written",
    [
        "not json",
        "[]",
        '[{"query": "x"}]',
        '[{"query": "x", "path": "no-such.mov"}]',
        '[{"query": "x", "path": "CLIP0001.MOV", "end_s": 3}]',
        '[{"query": "x", "path": "CLIP0001.MOV", "at": 3}]',
    ],
)
def test_wrong_golden_queries_are_refused_by_file_and_number(footage: Any, tmp_path: Path, written: str) -> None:
    path = tmp_path / "golden.json"
    path.write_text(written)
    with Library(footage.settings) as library, pytest.raises(QueryError, match=r"golden\.json"):
        read_golden(library, path)


def test_a_golden_stretch_is_answered_by_its_own_scene_only() -> None:
    golden = Golden(query="x", media_id="m", start_s=2.0, end_s=4.0)
    spans = {(0.0, 2.0): False, (2.04, 4.04): True, (4.0, 6.0): False, (0.0, 60.0): True, (3.5, 3.8): True}
    for (start_s, end_s), right in spans.items():
        assert golden.answered_by(Moment("m", "p", start_s, end_s, 1.0, "l2", [])) is right
    assert not golden.answered_by(Moment("m", "p", 0.0, 60.0, 1.0, "l0", []))
    assert not golden.answered_by(Moment("n", "p", 2.0, 4.0, 1.0, "l2", []))


def space_of(settings: Settings) -> str:
    """The space of the tiny model as the footage was ingested with it."""
    return open_embedder(settings.model_copy(update={"embedder": f"open_clip:{CONFIG.stem}@{CHECKPOINT}"})).space


def parquet(settings: Settings, tables: tuple[str, ...]) -> dict[str, bytes]:
    found = [path for name in tables for path in sorted((settings.tables_dir / name).glob("*.parquet"))]
    assert found
    return {str(path.relative_to(settings.tables_dir)): path.read_bytes() for path in found}


def files_below(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def first_with_scenes(settings: Settings, space: str) -> str:
    with Library(settings) as library:
        return str(vectors_held(library.tables).filter(space=space, level="l2")["media_id"].sort()[0])


def take_away(settings: Settings, space: str, media_ids: list[str]) -> None:
    """Remove the media's scene vectors of a space from the tables."""
    import polars as pl

    from thatdam_pipelines.library.schemas import EMBEDDINGS_L2

    with Library(settings) as library:
        for batch_id in library.tables.batches(EMBEDDINGS_L2):
            rows = library.tables.read(EMBEDDINGS_L2, batch_id)
            lost = (pl.col("space") == space) & pl.col("media_id").is_in(media_ids)
            library.tables.write(EMBEDDINGS_L2, batch_id, rows.filter(~lost))


def forget_open_embedders() -> None:
    from thatdam_pipelines.embed import embedder

    embedder._open.cache_clear()

"""Words and lines that follow from what was measured."""

from collections.abc import Callable

import polars as pl
import pytest

from thatdam_pipelines.embed.descriptions import FAULTS, described, quality
from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.l1 import embed_l1_batch
from thatdam_pipelines.embed.l2 import embed_l2_batch
from thatdam_pipelines.embed.moving_tags import stretch_tags
from thatdam_pipelines.embed.tags import tag_batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import TAGS
from thatdam_pipelines.library.schemas_motion import DESCRIPTIONS
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.media.motion import motion_batch


def moving(camera: str | None, share: float = 1.0, *, subject: bool = False) -> dict[str, object]:
    return {"camera": camera, "share": share, "subject_moves": subject}


def test_what_the_camera_does_most_of_the_time_is_a_word() -> None:
    assert stretch_tags(moving("shaky", 0.8), [], 0, 4) == {"shaky": 0.8}
    assert stretch_tags(moving("pan", 0.4), [], 0, 4) == {}
    assert stretch_tags(moving("static", subject=True), [], 0, 4) == {"tripod": 1}
    assert stretch_tags(moving("static"), [], 0, 4) == stretch_tags(moving(None), [], 0, 4) == {}


def test_a_stretch_is_black_when_most_of_it_is_and_flashes_when_it_does_at_all() -> None:
    ranges = [("black", 0.0, 3.0), ("flash", 3.5, 3.6), ("still", 0.0, 4.0)]
    assert stretch_tags(moving(None), ranges, 0, 4) == {"black": 0.75, "flash": 1}
    assert stretch_tags(moving(None), ranges, 2.5, 4) == {"flash": 1}
    assert stretch_tags(moving(None), ranges, 5, 6) == {}


def test_a_line_says_what_was_measured_and_nothing_else() -> None:
    tags = {"dark": 0.9, "blue": 0.5, "vertical": 1.0, "pan": 1.0, "speech": 0.8, "landscape": 1.0}
    assert described(tags) == "Dark, blue, vertical picture; the camera pans; sound: speech"
    assert described({"music": 1.0, "clipped": 1.0}) == "Sound alone; sound: music and clipped"
    assert described({"landscape": 1.0}) == "Plain picture"


def test_quality_falls_by_each_fault_as_far_as_it_is_sure_and_says_why() -> None:
    assert quality({"blue": 1.0}) == (1.0, [])
    value, reasons = quality({"shaky": 1.0, "clipped": 0.5, "dark": 1.0, "pan": 1.0})
    expected = (1 - FAULTS["shaky"]) * (1 - 0.5 * FAULTS["clipped"]) * (1 - FAULTS["dark"])
    assert value == pytest.approx(expected) and reasons == ["shaky", "clipped", "dark"]


def test_a_batch_is_described_and_found_by_what_moves(
    library: Library, ids: dict[str, str], embedder_of: Callable[[str], Embedder]
) -> None:
    embedder = embedder_of("descriptor/1")
    embed_l1_batch(library, "b1", embedder)
    embed_l2_batch(library, "b1", embedder)
    assert motion_batch(library, "b1").failures == []
    tag_batch(library, "b1", embedder)
    tags = library.tables.read(TAGS, "b1")
    lines = library.tables.read(DESCRIPTIONS, "b1")
    assert set(lines["item_id"]) == set(tags["item_id"])
    static = lines.row(by_predicate=pl.col("item_id") == ids["static.mp4"], named=True)
    assert "static" in static["description"] and 0 <= static["quality"] <= 1
    moved = tags.filter(method="motion")
    assert moved.height and moved["score"].is_between(0, 1).all()
    with TextIndex(library.settings.text_path) as index:
        index.index_batch(library, "b1")
        [word] = moved["tag"].unique().sort().head(1)
        assert {hit.media_id for hit in index.query(word)} >= set(moved.filter(tag=word)["media_id"])

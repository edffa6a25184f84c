from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.l1 import embed_l1_batch
from thatdam_pipelines.embed.l2 import _Frames, embed_l2_batch
from thatdam_pipelines.embed.vector_rows import stacked
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L1, EMBEDDINGS_L2, FRAMES, SCENES

Embedders = Callable[[str], Embedder]


@pytest.fixture
def embedder(library: Library, embedder_of: Embedders) -> Embedder:
    """An embedder whose frame vectors are there, and that has not been asked since."""
    embed_l1_batch(library, "b1", embedder_of("a"))
    return embedder_of("a")


def scenes_of(library: Library, media_id: str) -> list[dict[str, object]]:
    return library.tables.read(SCENES, "b1").filter(media_id=media_id).sort("start_s").to_dicts()


def test_scenes_begin_and_end_at_the_cuts(library: Library, ids: dict[str, str], embedder: Embedder) -> None:
    report = embed_l2_batch(library, "b1", embedder)
    assert (report.total, report.computed, report.failures) == (3, 3, [])
    scenes = scenes_of(library, ids["three.mp4"])
    assert [(scene["start_s"], scene["end_s"]) for scene in scenes] == [
        (pytest.approx(start, abs=0.05), pytest.approx(start + 3, abs=0.05)) for start in (0, 3, 6)
    ]
    assert [scene["transition_in"] for scene in scenes] == ["start", "cut", "cut"]
    assert [scene["scene_index"] for scene in scenes] == [0, 1, 2]
    assert scenes[0]["scene_id"] == f"{ids['three.mp4']}:s000000000"


def test_a_scene_has_the_mean_of_its_own_frames(library: Library, ids: dict[str, str], embedder: Embedder) -> None:
    embed_l2_batch(library, "b1", embedder)
    frames = library.tables.read(EMBEDDINGS_L1, "b1").filter(media_id=ids["three.mp4"])
    scenes = library.tables.read(EMBEDDINGS_L2, "b1").filter(media_id=ids["three.mp4"])
    for scene in scenes.iter_rows(named=True):
        own = frames.filter(pl.col("time_s").is_between(scene["start_s"] - 0.005, scene["end_s"] - 0.005))
        mean = stacked(own["vector"]).mean(axis=0)
        np.testing.assert_allclose(scene["vector"], mean / np.linalg.norm(mean), atol=1e-5)
    similar = stacked(scenes["vector"]) @ stacked(scenes["vector"]).T
    assert similar[~np.eye(3, dtype=bool)].max() < 0.9


def test_no_model_is_asked_and_nothing_is_decoded(library: Library, embedder: Embedder) -> None:
    embed_l2_batch(library, "b1", embedder)
    assert embedder.asked == []  # type: ignore[attr-defined]


def test_a_still_is_one_scene_and_sound_none(library: Library, ids: dict[str, str], embedder: Embedder) -> None:
    embed_l2_batch(library, "b1", embedder)
    [still] = scenes_of(library, ids["still.jpg"])
    assert (still["start_s"], still["end_s"], still["hero_s"], still["motion"]) == (0.0, 0.0, 0.0, None)
    [frame] = library.tables.read(FRAMES, "b1").filter(media_id=ids["still.jpg"]).to_dicts()
    assert still["brightness"] == pytest.approx(frame["brightness"])
    assert scenes_of(library, ids["memo.m4a"]) == []


def test_a_static_shot_is_one_scene(library: Library, ids: dict[str, str], embedder: Embedder) -> None:
    embed_l2_batch(library, "b1", embedder)
    [scene] = scenes_of(library, ids["static.mp4"])
    assert (scene["start_s"], scene["end_s"]) == (0.0, pytest.approx(40, abs=0.3))


def test_the_hero_frame_is_one_of_the_scene(library: Library, ids: dict[str, str], embedder: Embedder) -> None:
    embed_l2_batch(library, "b1", embedder)
    times = library.tables.read(FRAMES, "b1").filter(media_id=ids["three.mp4"])["time_s"].to_list()
    for scene in scenes_of(library, ids["three.mp4"]):
        assert scene["start_s"] <= scene["hero_s"] < scene["end_s"]  # type: ignore[operator]
        assert scene["hero_s"] in times


def test_a_new_model_computes_vectors_and_leaves_the_scenes(library: Library, embedder_of: Embedders) -> None:
    for space in ("a", "b"):
        embed_l1_batch(library, "b1", embedder_of(space))
    embed_l2_batch(library, "b1", embedder_of("a"))
    stamp = library.tables.stamps(SCENES)
    first = library.tables.read(EMBEDDINGS_L2, "b1")
    assert embed_l2_batch(library, "b1", embedder_of("b")).computed == 3
    assert library.tables.stamps(SCENES) == stamp
    assert library.tables.read(EMBEDDINGS_L2, "b1").filter(space="a").equals(first)
    assert library.tables.read(EMBEDDINGS_L2, "b1").height == 2 * first.height
    assert embed_l2_batch(library, "b1", embedder_of("a")).reused == 3


def test_a_file_whose_frames_failed_has_no_scenes_and_no_failure_of_its_own(
    library: Library, ids: dict[str, str], embedder: Embedder
) -> None:
    rows = library.tables.read(EMBEDDINGS_L1, "b1")
    library.tables.write(EMBEDDINGS_L1, "b1", rows.filter(pl.col("media_id") != ids["static.mp4"]))
    report = embed_l2_batch(library, "b1", embedder)
    assert (report.total, report.failures) == (2, [])
    assert scenes_of(library, ids["static.mp4"]) == []


FRAMES_AT_0_1_4 = _Frames(
    times_s=np.array([0.0, 1.0, 4.0]),
    sharpness=np.array([10.0, 100.0, 90.0]),
    brightness=np.array([0.5, 0.5, 0.02]),
    vectors=np.eye(3, dtype=np.float32),
)


def test_a_scene_without_frames_has_the_one_kept_before_it() -> None:
    # Its frames were near-duplicates of that one, or they would have been kept.
    assert FRAMES_AT_0_1_4.within(2.0, 3.5) == slice(1, 2)
    assert FRAMES_AT_0_1_4.within(0.0, 2.0) == slice(0, 2)
    assert FRAMES_AT_0_1_4.within(4.0, 9.0) == slice(2, 3)


def test_a_hero_frame_is_sharp_rather_than_first_and_lit_rather_than_central() -> None:
    assert FRAMES_AT_0_1_4.hero_s(slice(0, 2), 0.0, 2.0) == 1.0
    assert FRAMES_AT_0_1_4.hero_s(slice(1, 3), 1.0, 5.0) == 1.0
    assert FRAMES_AT_0_1_4.hero_s(slice(1, 2), 2.0, 3.5) == 2.0

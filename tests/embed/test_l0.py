from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.l0 import embed_l0_batch
from thatdam_pipelines.embed.vector_rows import stacked
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, LOCATIONS
from thatdam_pipelines.media.frames import evenly_spread

Embedders = Callable[[str], Embedder]


def test_every_clip_and_still_gets_one_unit_vector_and_sound_none(
    library: Library, ids: dict[str, str], embedder_of: Embedders
) -> None:
    report = embed_l0_batch(library, "b1", embedder_of("a"))
    assert (report.total, report.computed, report.failures) == (3, 3, [])
    rows = library.tables.read(EMBEDDINGS_L0, "b1")
    frames = dict(rows.select("media_id", "frames").iter_rows())
    assert frames == {ids["three.mp4"]: 5, ids["static.mp4"]: 5, ids["still.jpg"]: 1}
    np.testing.assert_allclose(np.linalg.norm(stacked(rows["vector"]), axis=1), 1, atol=1e-5)


def test_the_vector_is_the_direction_its_frames_have_in_common(
    library: Library, ids: dict[str, str], embedder_of: Embedders
) -> None:
    embedder = embedder_of("a")
    embed_l0_batch(library, "b1", embedder)
    [vector] = library.tables.read(EMBEDDINGS_L0, "b1").filter(media_id=ids["three.mp4"])["vector"]
    clip = Path(library.tables.read(LOCATIONS, "b1").filter(name="three.mp4")["path"][0])
    frames = [frame for _, frame in evenly_spread(clip, duration_s=9.0, count=5, short_edge=embedder.input_size)]
    mean = embedder.embed_images(frames).mean(axis=0)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-3)


def test_the_model_is_fed_frames_of_several_files_at_once(library: Library, embedder_of: Embedders) -> None:
    embedder = embedder_of("a")
    embed_l0_batch(library, "b1", embedder)
    assert embedder.asked == [11]  # type: ignore[attr-defined]


def test_a_rerun_asks_no_model_and_changes_no_table(library: Library, embedder_of: Embedders) -> None:
    embed_l0_batch(library, "b1", embedder_of("a"))
    stamp = library.tables.stamps(EMBEDDINGS_L0)
    again = embedder_of("a")
    report = embed_l0_batch(library, "b1", again)
    assert (report.computed, report.reused, again.asked) == (0, 3, [])  # type: ignore[attr-defined]
    assert library.tables.stamps(EMBEDDINGS_L0) == stamp


def test_a_new_model_adds_its_vectors_and_keeps_those_of_the_other_space(
    library: Library, embedder_of: Embedders
) -> None:
    embed_l0_batch(library, "b1", embedder_of("a"))
    first = library.tables.read(EMBEDDINGS_L0, "b1")
    assert embed_l0_batch(library, "b1", embedder_of("b")).computed == 3
    both = library.tables.read(EMBEDDINGS_L0, "b1")
    assert both.height == 6
    assert both.filter(space="a").equals(first)
    assert embed_l0_batch(library, "b1", embedder_of("a")).computed == 0


def test_a_damaged_original_costs_only_itself_and_is_tried_again_on_request(
    library: Library, ids: dict[str, str], embedder_of: Embedders, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"\0\0\0\x18ftypmp42" + b"nonsense" * 2000)
    locations = library.tables.read(LOCATIONS, "b1")
    path = pl.when(pl.col("name") == "three.mp4").then(pl.lit(str(damaged))).otherwise("path")
    library.tables.write(LOCATIONS, "b1", locations.with_columns(path=path))
    report = embed_l0_batch(library, "b1", embedder_of("a"))
    [failure] = report.failures
    assert failure["media_id"] == ids["three.mp4"]
    assert failure["path"].endswith("three.mp4")
    assert library.tables.read(EMBEDDINGS_L0, "b1").height == 2

    library.tables.write(LOCATIONS, "b1", locations)
    assert embed_l0_batch(library, "b1", embedder_of("a")).skipped == 1
    assert embed_l0_batch(library, "b1", embedder_of("a"), retry=True).failures == []
    assert library.tables.read(EMBEDDINGS_L0, "b1").height == 3

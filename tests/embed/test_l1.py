import logging
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thatdam_pipelines.embed import l1
from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.l1 import embed_l1_batch
from thatdam_pipelines.embed.measured_tags import STATIC
from thatdam_pipelines.embed.vector_rows import stacked
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L1, FRAMES, PROXIES
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.settings import Settings

Embedders = Callable[[str], Embedder]


def times_of(library: Library, media_id: str) -> list[float]:
    return library.tables.read(FRAMES, "b1").filter(media_id=media_id)["time_s"].sort().to_list()


def test_moving_scenes_have_a_frame_a_second_and_the_first_of_each_shot(
    library: Library, ids: dict[str, str], embedder_of: Embedders
) -> None:
    report = embed_l1_batch(library, "b1", embedder_of("a"))
    assert (report.total, report.computed, report.failures) == (3, 3, [])
    times = times_of(library, ids["three.mp4"])
    assert {0.0, 3.0, 6.0} <= set(times)
    assert set(times) <= {float(second) for second in range(9)}
    assert len(times) >= 7


def test_near_duplicates_are_dropped_but_one_frame_a_window_stays(
    library: Library, ids: dict[str, str], embedder_of: Embedders
) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    assert times_of(library, ids["static.mp4"]) == [0.0, 32.0]


def test_a_still_has_one_frame_and_sound_none(library: Library, ids: dict[str, str], embedder_of: Embedders) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    [still] = library.tables.read(FRAMES, "b1").filter(media_id=ids["still.jpg"]).to_dicts()
    assert (still["frame_id"], still["time_s"], still["motion"]) == (f"{ids['still.jpg']}:f000000000", 0.0, None)
    assert times_of(library, ids["memo.m4a"]) == []


def test_every_kept_frame_has_a_unit_vector_and_measures_in_range(library: Library, embedder_of: Embedders) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    frames, vectors = (library.tables.read(table, "b1") for table in (FRAMES, EMBEDDINGS_L1))
    assert vectors["frame_id"].to_list() == frames["frame_id"].to_list()
    np.testing.assert_allclose(np.linalg.norm(stacked(vectors["vector"]), axis=1), 1, atol=1e-5)
    for name, top in (("brightness", 1), ("contrast", 0.5), ("saturation", 1), ("motion", 1)):
        assert frames[name].drop_nulls().is_between(0, top).all()
    assert frames["sharpness"].min() > 0
    assert frames["dominant_colors"].list.len().is_between(1, 5).all()


def test_motion_is_more_where_something_moves(library: Library, ids: dict[str, str], embedder_of: Embedders) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    motion = dict(library.tables.read(FRAMES, "b1").group_by("media_id").agg(pl.col("motion").min()).iter_rows())
    assert motion[ids["static.mp4"]] < min(STATIC, motion[ids["three.mp4"]])


def test_a_new_model_computes_vectors_of_the_same_frames_and_nothing_else(
    library: Library, embedder_of: Embedders
) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    frames = library.tables.stamps(FRAMES)
    first = library.tables.read(EMBEDDINGS_L1, "b1")
    report = embed_l1_batch(library, "b1", embedder_of("b"))
    assert report.computed == 3
    both = library.tables.read(EMBEDDINGS_L1, "b1")
    assert library.tables.stamps(FRAMES) == frames
    assert both.filter(space="a").equals(first)
    # The pixels are the same whether frames were chosen in this run or in one before.
    assert both.filter(space="b").drop("space", "recipe").equals(first.drop("space", "recipe"))
    assert embed_l1_batch(library, "b1", embedder_of("a")).computed == 0


def test_a_run_killed_between_its_two_tables_converges(library: Library, embedder_of: Embedders) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    frames, vectors = (library.tables.read(table, "b1") for table in (FRAMES, EMBEDDINGS_L1))
    for lost in (EMBEDDINGS_L1, FRAMES):
        library.tables.path(lost, "b1").unlink()
        embed_l1_batch(library, "b1", embedder_of("a"))
        assert library.tables.read(FRAMES, "b1").equals(frames)
        assert library.tables.read(EMBEDDINGS_L1, "b1").equals(vectors)


def test_other_rules_for_frames_make_them_and_their_vectors_anew(
    library: Library, ids: dict[str, str], embedder_of: Embedders, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    monkeypatch.setattr(l1, "WINDOW_FRAMES", 10)
    assert embed_l1_batch(library, "b1", embedder_of("a")).computed == 3
    assert times_of(library, ids["static.mp4"]) == [0.0, 10.0, 20.0, 30.0]
    assert library.tables.read(EMBEDDINGS_L1, "b1").height == library.tables.read(FRAMES, "b1").height
    # Going back finds vectors of the old frames gone, not vectors without frames.
    monkeypatch.undo()
    embed_l1_batch(library, "b1", embedder_of("a"))
    assert times_of(library, ids["static.mp4"]) == [0.0, 32.0]


def test_a_damaged_proxy_costs_only_its_own_file(library: Library, ids: dict[str, str], embedder_of: Embedders) -> None:
    proxies = library.tables.read(PROXIES, "b1")
    key = proxies.filter(media_id=ids["static.mp4"])["proxy_path"][0]
    with library.store.local(key) as proxy:
        proxy.chmod(0o644)
        proxy.write_bytes(proxy.read_bytes()[:100])
    report = embed_l1_batch(library, "b1", embedder_of("a"))
    assert [failure["media_id"] for failure in report.failures] == [ids["static.mp4"]]
    assert set(library.tables.read(EMBEDDINGS_L1, "b1")["media_id"]) == {ids["three.mp4"], ids["still.jpg"]}
    assert set(library.tables.read(FRAMES, "b1")["media_id"]) == {ids["three.mp4"], ids["still.jpg"]}


def test_a_clip_in_a_bucket_is_downloaded_once_for_all_its_windows(
    library: Library,
    ids: dict[str, str],
    embedder_of: Embedders,
    s3_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(l1, "WINDOW_FRAMES", 4)
    embed_l1_batch(library, "b1", embedder_of("a"))
    here = library.tables.read(EMBEDDINGS_L1, "b1")
    assert here.filter(media_id=ids["static.mp4"]).height == 10
    for table in (FRAMES, EMBEDDINGS_L1):
        library.tables.path(table, "b1").unlink()
    bucket = {name: getattr(s3_settings, name) for name in ("media", "s3_endpoint", "s3_key", "s3_secret")}
    remote = Store(s3_settings.media_url, s3_settings)
    for folder in {str(Path(key).parent) for key in library.tables.read(PROXIES, "b1")["proxy_path"]}:
        shutil.copytree(library.store.url(folder), library.settings.home / "upload")
        remote.publish_dir(library.settings.home / "upload", folder)

    caplog.clear()
    with caplog.at_level(logging.INFO, "werkzeug"), monkeypatch.context() as patched:
        patched.setattr(library, "settings", library.settings.model_copy(update=bucket))
        patched.setattr(library, "store", remote)
        assert embed_l1_batch(library, "b1", embedder_of("a")).failures == []

    asked = Counter(re.findall(r"GET \S+/(\w+)/[^/ ]+/([\w.]+)", caplog.text))
    assert asked[ids["static.mp4"], "proxy.mp4"] == asked[ids["static.mp4"], "measures.parquet"] == 1
    assert asked[ids["three.mp4"], "proxy.mp4"] == 1
    assert library.tables.read(EMBEDDINGS_L1, "b1").equals(here)
    assert not list(library.settings.work_dir.glob("*"))


@pytest.mark.parametrize("hours", [0.5, 2.0, 6.0])
def test_jobs_of_a_long_clip_are_short_stretches_that_cover_it(library: Library, hours: float) -> None:
    row = {"media_id": "m", "kind": "video", "duration_s": hours * 3600, "proxy_path": "p", "measures_path": None}
    windows = [job.payload for job in l1._jobs_of(library.settings, row, "long.mp4", {}, 224, Path("w"))]
    assert (windows[0].start_s, windows[-1].end_s) == (0.0, math.inf)
    assert all(before.end_s == after.start_s for before, after in pairwise(windows))
    assert all((window.end_s - window.start_s) / window.every_s <= 32.01 for window in windows[:-1])
    assert sum(hours * 3600 / window.every_s for window in windows) / len(windows) <= 7200


def test_other_sized_models_get_frames_of_their_size(library: Library, embedder_of: Embedders) -> None:
    embedder = embedder_of("large")
    embedder.input_size = 224  # type: ignore[misc]
    seen: list[tuple[int, ...]] = []
    describe = embedder.embed_images
    embedder.embed_images = lambda frames: (seen.extend(frame.shape for frame in frames), describe(frames))[1]  # type: ignore
    embed_l1_batch(library, "b1", embedder)
    assert {min(shape[:2]) for shape in seen} == {224}
    assert {shape[:2] for shape in seen} == {(224, 398), (224, 299)}


def test_store_that_is_gone_fails_the_stage_and_no_file(library: Library, embedder_of: Embedders) -> None:
    embed_l1_batch(library, "b1", embedder_of("a"))
    before = library.tables.read(EMBEDDINGS_L1, "b1")
    media = Path(library.settings.media_url)
    media.rename(media.with_name("unplugged"))
    assert embed_l1_batch(library, "b1", embedder_of("a")).computed == 0
    with pytest.raises(Exception, match="media"):
        embed_l1_batch(library, "b1", embedder_of("b"))
    assert library.tables.read(EMBEDDINGS_L1, "b1").equals(before)

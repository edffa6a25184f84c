from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import polars as pl
import pytest

from thatdam_pipelines.media.measures import MEASURES_SCHEMA, SMALL_SHAPE, FrameMeasures
from thatdam_pipelines.media.scenes import SCENES_RECIPE, SHORTEST_S, Scene, detect_scenes
from thatdam_pipelines.samples.known_clips import Tally, measured, tally
from thatdam_pipelines.samples.transitions import HELD_OUT_SEEDS, KINDS, TUNING_SEEDS, known_clips

SEED = 201
CUTS = [kind for kind in KINDS if kind.endswith("cuts")]
GRADUAL = ["dissolve", "fade", "white fade"]
FLASHES_AND_PANS = ["flash", "whip pan", "fast pan"]
CALM = ["handheld", "crossing", "zoom", "static"]
RATES = dict.fromkeys(CUTS, (30, "vfr")) | dict.fromkeys([*FLASHES_AND_PANS, *GRADUAL], (25, 60))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """For each kind of clip, made and encoded here, its clips with the scenes found in each."""
    folder = tmp_path_factory.mktemp("clips")
    result = {}
    for kind in [*CUTS, *GRADUAL, *FLASHES_AND_PANS, *CALM]:
        for clip in known_clips(SEED, [kind], RATES.get(kind, (25,)), seconds=8):
            measures = measured(clip.write(folder / f"{clip.name}.mp4"))
            result.setdefault(kind, []).append((clip, detect_scenes(measures, clip.duration_s)))
    return result


def total(found, kinds):
    clips = [each for kind in kinds for each in found[kind]]
    return reduce(add, (tally(clip, [scene.start_s for scene in scenes[1:]]) for clip, scenes in clips), Tally())


def frames(*luma, rate=25):
    """Measures of flat frames."""
    measures = FrameMeasures()
    for index, level in enumerate(luma):
        measures.add(index / rate, np.full(SMALL_SHAPE, level, np.uint8))
    return measures.frame()


def pictures(*seeds, rate=25, lit=()):
    """Measures of one random picture for each seed: the same seed is the same picture; ``lit`` by a flash."""
    measures = FrameMeasures()
    for index, seed in enumerate(seeds):
        rough = np.random.default_rng(seed).integers(30, 150, (9, 8), dtype=np.uint8) + 80 * (index in lit)
        measures.add(index / rate, np.kron(rough, np.ones((6, 8), np.uint8)))
    return measures.frame()


def test_hard_cuts_are_found_at_their_very_frame(found):
    result = total(found, CUTS)
    assert result.cuts >= 60
    assert result.f1 >= 0.95


def test_hard_cuts_are_called_cuts(found):
    scenes = [scene for _, scenes in found["cuts"] + found["fast cuts"] for scene in scenes]
    assert sum(scene.transition_in == "cut" for scene in scenes) >= len(scenes) - 6


def test_dissolves_and_fades_are_found(found):
    result = total(found, GRADUAL)
    assert result.gradual >= 6
    assert result.gradual_recall >= 0.7


def test_flashes_and_pans_are_not_cuts(found):
    result = total(found, FLASHES_AND_PANS)
    assert result.minutes >= 0.75
    assert result.false_a_minute <= 1


def test_shaking_passing_zooming_and_noise_are_not_cuts(found):
    assert total(found, CALM).false_a_minute <= 1


def test_a_clip_of_two_seconds_is_divided_at_its_cut(tmp_path):
    clip = next(known_clips(SEED, ["short"], (30,)))
    scenes = detect_scenes(measured(clip.write(tmp_path / "short.mp4")), clip.duration_s)
    assert [scene.start_s for scene in scenes[1:]] == pytest.approx(
        [edge.start_s for edge in clip.boundaries], abs=0.01
    )


def test_pictures_held_for_three_frames_are_not_cuts(tmp_path):
    clip = next(known_clips(SEED, ["held frames"], (24,), seconds=6))
    assert len(detect_scenes(measured(clip.write(tmp_path / "held.mp4")), clip.duration_s)) == 1


def test_scenes_follow_each_other_from_start_to_end_without_gap(found):
    for clip, scenes in (each for clips in found.values() for each in clips):
        assert scenes[0].start_s == 0
        assert scenes[0].transition_in == "start"
        assert scenes[-1].end_s == clip.duration_s
        assert all(one.end_s == following.start_s for one, following in pairwise(scenes))
        assert all(scene.end_s - scene.start_s >= SHORTEST_S - 1e-9 for scene in scenes)
        assert all(scene.transition_score >= 1 for scene in scenes[1:])


def test_a_clip_without_measures_is_one_scene():
    empty = pl.DataFrame(schema=MEASURES_SCHEMA)
    assert detect_scenes(empty, 4.0) == [Scene(0.0, 4.0, "start", None)]


def test_a_still_is_one_scene_of_no_length():
    assert detect_scenes(frames(128), 0.0) == [Scene(0.0, 0.0, "start", None)]


@pytest.mark.parametrize("count", range(1, 12))
def test_a_clip_of_few_frames_is_one_scene(count):
    assert len(detect_scenes(pictures(*range(count)), count / 25)) == 1


def test_flat_frames_are_one_scene_whatever_their_level():
    assert len(detect_scenes(frames(*[16] * 100), 4.0)) == 1
    assert len(detect_scenes(frames(*[235] * 100), 4.0)) == 1


def test_a_picture_after_black_begins_a_scene():
    measures = pl.concat([frames(*[16] * 50), pictures(*[1] * 50).with_columns(pl.col("time_s") + 2)])
    measures = measures.with_columns(
        diff_moved=pl.when(pl.col("time_s") == 2).then(0.3).otherwise(0.0).cast(pl.Float32)
    )
    assert [scene.start_s for scene in detect_scenes(measures, 4.0)] == [0.0, 2.0]


def test_a_picture_that_is_another_for_three_frames_is_a_glitch_not_a_scene():
    assert len(detect_scenes(pictures(*[1] * 50, 2, 2, 2, *[1] * 50), 103 / 25)) == 1
    assert len(detect_scenes(pictures(*[1] * 50, *[2] * 50), 4.0)) == 2


def test_a_cut_under_a_flash_is_found_once():
    seeds = [1] * 50 + [2] * 50
    measures = pictures(*seeds, lit=(48, 49, 50, 51))
    assert [scene.start_s for scene in detect_scenes(measures, 4.0)] == [0.0, 2.0]
    assert len(detect_scenes(pictures(*[1] * 100, lit=(48, 49, 50, 51)), 4.0)) == 1


def test_the_order_of_rows_and_times_that_are_missing_or_double_change_nothing():
    measures = pictures(*[1] * 50, *[2] * 50)
    broken = pl.concat([measures, measures.head(3), measures.head(1).with_columns(time_s=pl.lit(float("nan")))])
    assert detect_scenes(broken.reverse(), 4.0) == detect_scenes(measures, 4.0)


def test_nothing_begins_after_the_end_of_a_clip_that_is_shorter_than_its_frames():
    measures = pictures(*[1] * 50, *[2] * 50)
    assert detect_scenes(measures, 1.0) == [Scene(0.0, 1.0, "start", None)]


def test_clips_follow_from_their_seed():
    first, again, other = (next(known_clips(seed, ["cuts"], (25,))) for seed in (1, 1, 2))
    assert first.boundaries == again.boundaries != other.boundaries
    assert np.array_equal(first.picture(30), again.picture(30))
    assert not np.array_equal(first.picture(30), other.picture(30))


def test_nothing_was_tuned_on_what_is_measured():
    assert not {*TUNING_SEEDS} & {*HELD_OUT_SEEDS, SEED}


def test_the_recipe_names_every_limit():
    assert SCENES_RECIPE.id.startswith("scenes-1-")
    assert {"cuts", "dissolves", "fades", "flashes", "shortest_s"} == set(SCENES_RECIPE.params)

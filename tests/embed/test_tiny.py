"""The tiny model: small, reproducible in kind, and right about scenes it never saw."""

from pathlib import Path

import av
import numpy as np
import pytest

from thatdam_pipelines.embed.embedder import Embedder, open_embedder
from thatdam_pipelines.samples.footage import Shown, write_clip
from thatdam_pipelines.samples.lessons import Lessons, codes, direction, held_out
from thatdam_pipelines.samples.scenes import Scene, random_scene
from thatdam_pipelines.samples.tiny import CHECKPOINT, tiny_settings
from thatdam_pipelines.samples.train import Recall, measure, save, train
from thatdam_pipelines.settings import Settings


@pytest.fixture(scope="module")
def tiny() -> Embedder:
    return open_embedder(Settings(**tiny_settings()))


def test_checkpoint_is_at_most_six_megabytes() -> None:
    assert CHECKPOINT.stat().st_size <= 6_000_000


def _scene_vectors(embedder: Embedder, clip: Path, shown: list[Shown]) -> np.ndarray:
    """Mean vector of each scene from the clip's keyframes, decoded small as the platform does."""
    with av.open(str(clip)) as container:
        container.streams.video[0].codec_context.skip_frame = "NONKEY"
        decoded = [frame for frame in container.decode(video=0) if frame.key_frame]
        width, height = decoded[0].width, decoded[0].height
        scale = embedder.input_size / min(width, height)
        size = {"width": round(width * scale), "height": round(height * scale)}
        times = np.array([frame.time for frame in decoded])
        vectors = embedder.embed_images([frame.to_ndarray(format="rgb24", **size) for frame in decoded])
    means = [vectors[(times >= scene.start_s) & (times < scene.end_s)].mean(axis=0) for scene in shown]
    return np.stack([mean / np.linalg.norm(mean) for mean in means])


def test_text_finds_the_right_scene_first_in_clips_of_several_scenes(tmp_path: Path, tiny: Embedder) -> None:
    rng = np.random.default_rng(20261120)
    scenes: dict[str, Scene] = {}
    while len(scenes) < 60:
        scene = random_scene(rng)
        scenes.setdefault(scene.caption, scene)
    captions, vectors = [], []
    for number in range(15):
        clip = tmp_path / f"{number}.mp4"
        chosen = list(scenes.values())[number * 4 : number * 4 + 4]
        portrait = number % 5 == 4
        shown = write_clip(clip, chosen, seconds=2, fps=12, size=(180, 320) if portrait else (320, 180), audio=False)
        captions += [scene.caption for scene in shown]
        vectors.append(_scene_vectors(tiny, clip, shown))
    first = (tiny.embed_text(captions) @ np.concatenate(vectors).T).argmax(axis=1)
    wrong = [f"{captions[at]} -> {captions[found]}" for at, found in enumerate(first) if at != found]
    assert len(wrong) <= 0.02 * len(captions), wrong


@pytest.fixture(scope="module")
def recall(tiny: Embedder) -> Recall:
    return measure(tiny, seed=4)


def test_recall_on_fresh_scenes_and_wordings_is_what_the_readme_says(recall: Recall) -> None:
    assert recall.captions >= 0.98
    assert recall.unseen >= 0.95
    assert recall.paraphrases >= 0.98


def test_a_text_about_something_else_is_far_from_every_scene(recall: Recall) -> None:
    assert recall.matching > 0.9
    assert recall.off_topic < 0.1


def test_training_never_sees_the_combinations_held_out() -> None:
    lessons = Lessons(1, 32, 64, ["word"])
    assert not any(held_out(lessons._scene()) for _ in range(2000))
    assert 0.1 < np.mean([held_out(random_scene(np.random.default_rng(seed))) for seed in range(2000)]) < 0.2


def test_a_text_that_tells_less_points_between_the_scenes_it_fits() -> None:
    book = codes(64)
    ball = Scene("sea", "ball", "red")
    place_only = direction(ball, book, subject=False)
    assert place_only @ direction(ball, book) > 0.5
    assert place_only @ direction(Scene("city", "ball", "red"), book) == pytest.approx(0, abs=1e-6)
    assert direction(None, book) @ direction(ball, book) == pytest.approx(0, abs=1e-6)


def test_training_again_with_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(train(3, 2, 16), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

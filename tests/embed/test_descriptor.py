"""The descriptor: deterministic, of unit length, and near for pictures that look alike."""

import numpy as np
import pytest

from thatdam_pipelines.embed.descriptor import DescriptorEmbedder
from thatdam_pipelines.embed.embedder import open_embedder
from thatdam_pipelines.errors import ModelError, SettingsError
from thatdam_pipelines.samples.scenes import Scene, scene_frames
from thatdam_pipelines.settings import Settings


def _frame(scene: Scene, moment: int = 0) -> np.ndarray:
    return list(scene_frames(scene, 1, 4, (228, 128)))[moment]


def test_same_picture_gives_the_same_unit_vector_whatever_it_is_batched_with() -> None:
    embedder = DescriptorEmbedder()
    frames = [_frame(Scene("sea", seed=1)), _frame(Scene("city", seed=2))]
    together = embedder.embed_images(frames)
    assert together.dtype == np.float32
    assert together.shape == (2, embedder.dimensions)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(together[1:], DescriptorEmbedder().embed_images(frames[1:]))


def test_a_vector_of_a_known_picture_stays_what_it_was() -> None:
    ramp = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], 128, axis=0).repeat(3, axis=2)
    vector = DescriptorEmbedder().embed_images([ramp])[0]
    # A change of these figures is a change of the vectors: raise the version in `space` with it.
    assert DescriptorEmbedder.space == "descriptor/1"
    np.testing.assert_allclose(vector[:4], [-0.0061, -0.8831, 0.0, 0.0], atol=2e-3)


@pytest.mark.parametrize("level", [0, 117, 128, 255])
def test_flat_frames_have_a_direction_too(level: int) -> None:
    vector = DescriptorEmbedder().embed_images([np.full((128, 228, 3), level, np.uint8)])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_moments_of_a_scene_are_nearer_than_other_scenes() -> None:
    scenes = [Scene(place, "ball", "red", seed=index) for index, place in enumerate(("field", "sea", "city", "snow"))]
    embedder = DescriptorEmbedder()
    first = embedder.embed_images([_frame(scene, 0) for scene in scenes])
    last = embedder.embed_images([_frame(scene, 3) for scene in scenes])
    similarity = first @ last.T
    assert (similarity.argmax(axis=1) == np.arange(len(scenes))).all()
    assert similarity.diagonal().min() > similarity[~np.eye(len(scenes), dtype=bool)].max()


def test_any_aspect_and_one_pixel_wide_frames_are_described() -> None:
    shapes = [(128, 1), (1, 128), (128, 3000), (720, 128)]
    frames = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    assert np.isfinite(DescriptorEmbedder().embed_images(frames)).all()


def test_no_frames_give_no_vectors() -> None:
    assert DescriptorEmbedder().embed_images([]).shape == (0, DescriptorEmbedder.dimensions)


def test_text_is_refused_with_what_to_do_instead() -> None:
    embedder = open_embedder(Settings(embedder="descriptor"))
    assert not embedder.has_text
    with pytest.raises(ModelError, match=r"no text side.*THATDAM_EMBEDDER=open_clip"):
        embedder.embed_text(["a red ball"])


def test_an_unknown_embedder_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="THATDAM_EMBEDDER=clip: there is no such embedder"):
        open_embedder(Settings(embedder="clip"))

"""open_clip models: named, fingerprinted, loaded once, fed as open_clip itself would feed them, refused plainly."""

import http.server
import json
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from huggingface_hub import constants

from thatdam_pipelines.embed.embedder import open_embedder
from thatdam_pipelines.embed.open_clip_embedder import OpenClipEmbedder, prompt
from thatdam_pipelines.embed.preprocess import Preprocess
from thatdam_pipelines.errors import ModelError, SettingsError
from thatdam_pipelines.samples.scenes import Scene, scene_frames
from thatdam_pipelines.samples.tiny import CHECKPOINT, CONFIG, tiny_settings
from thatdam_pipelines.settings import Settings

TINY = CONFIG.stem


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def tiny() -> OpenClipEmbedder:
    return OpenClipEmbedder(TINY, str(CHECKPOINT), CONFIG)


def _frames(size: tuple[int, int], count: int = 3) -> list[np.ndarray]:
    return list(scene_frames(Scene("planks", "fish", "blue", seed=4), 1, count, size))


def _tiny_model(tmp_path: Path, name: str = "altered", **text: object) -> tuple[Path, dict[str, Any]]:
    """Configuration like the tiny one's under another name, and its weights."""
    from safetensors.torch import load_file

    config = json.loads(CONFIG.read_text())
    config["text_cfg"] |= text
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(config))
    return path, load_file(CHECKPOINT)


def test_naming_a_model_needs_no_torch() -> None:
    program = (
        "import sys\n"
        "from thatdam_pipelines.settings import Settings\n"
        "from thatdam_pipelines.embed.embedder import open_embedder\n"
        "embedder = open_embedder(Settings(embedder='open_clip:ViT-B-32@laion2b_s34b_b79k'))\n"
        "print(embedder.space, embedder.dimensions, embedder.input_size, {'torch', 'open_clip'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "open_clip/ViT-B-32/laion2b_s34b_b79k 512 224 set()"


def test_the_default_model_is_siglip2_with_its_own_input_size() -> None:
    settings = Settings()
    embedder = OpenClipEmbedder(settings.open_clip_model, settings.open_clip_pretrained)
    assert (embedder.space, embedder.dimensions) == ("open_clip/ViT-B-16-SigLIP2/webli", 768)


def test_a_checkpoint_file_names_its_space_by_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pt", tmp_path / "b.pt"
    first.write_bytes(b"some weights")
    second.write_bytes(b"other weights")
    space = OpenClipEmbedder("ViT-B-32", str(first)).space
    assert space == f"open_clip/ViT-B-32/{blake3(b'some weights').hexdigest()[:12]}"
    assert OpenClipEmbedder("ViT-B-32", str(second)).space != space
    shutil.copy(first, second)
    assert OpenClipEmbedder("ViT-B-32", str(second)).space == space


def test_another_configuration_of_the_same_weights_is_another_space(tmp_path: Path) -> None:
    changed = tmp_path / CONFIG.name
    changed.write_text(CONFIG.read_text() + "\n")
    spaces = {OpenClipEmbedder(TINY, str(CHECKPOINT), path).space for path in (CONFIG, changed)}
    assert len(spaces) == 2


def test_the_same_settings_share_one_model() -> None:
    first, second = (open_embedder(Settings(**tiny_settings())) for _ in range(2))
    assert first is second
    assert open_embedder(Settings(**tiny_settings(), embed_batch=7)) is not first


@pytest.mark.parametrize("size", [(142, 80), (80, 80), (80, 142), (141, 80), (171, 96)])
def test_vectors_equal_those_of_open_clips_own_transform(tiny: OpenClipEmbedder, size: tuple[int, int]) -> None:
    import open_clip
    import torch
    from PIL import Image

    open_clip.add_model_config(CONFIG)
    model, _, transform = open_clip.create_model_and_transforms(TINY, pretrained=str(CHECKPOINT))
    frames = _frames(size)
    with torch.inference_mode():
        pictures = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
        expected = model.eval().encode_image(pictures, normalize=True).numpy()
    cosines = (tiny.embed_images(frames) * expected).sum(axis=1)
    # Exact where the decoder has scaled already; elsewhere torch's resize rounds differently from Pillow's.
    assert cosines.min() > (0.999999 if min(size) == 80 else 0.999)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(64, 64), (114, 64), (64, 114), (250, 141), (40, 31)])
@pytest.mark.parametrize("target", [64, (48, 64)])
def test_preprocessing_equals_pillows(mode: str, size: tuple[int, int], target: int | tuple[int, int]) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    config = PreprocessCfg(size=target, resize_mode=mode, interpolation="bicubic", fill_color=7)
    frame = _frames(size, 1)[0]
    expected = image_transform_v2(config, is_train=False)(Image.fromarray(frame))
    preprocess = Preprocess(vars(config))
    made = preprocess.normalise(preprocess(frame)[None])[0]
    assert made.shape == expected.shape
    # One 8-bit step is about 0.015 here; resizing may round by one, at hard edges by a few.
    difference = (made - expected).abs()
    assert float(difference.mean()) < 0.01
    assert float(difference.max()) < 0.1
    if size == (64, 64) and target == 64:
        assert float(difference.max()) < 1e-5


def test_batches_of_any_size_give_the_same_vectors(tiny: OpenClipEmbedder) -> None:
    frames = _frames((142, 80), 5) + _frames((80, 100), 2)
    vectors = tiny.embed_images(frames)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for batch in (1, 3):
        one = OpenClipEmbedder(TINY, str(CHECKPOINT), CONFIG, batch=batch)
        np.testing.assert_allclose(one.embed_images(frames), vectors, atol=1e-5)


def test_nothing_in_gives_nothing_out(tiny: OpenClipEmbedder) -> None:
    assert tiny.embed_images([]).shape == (0, tiny.dimensions)
    assert tiny.embed_text([]).shape == (0, tiny.dimensions)


def test_text_vectors_equal_open_clips_own_though_no_padding_is_computed(tiny: OpenClipEmbedder) -> None:
    import open_clip
    import torch

    texts = ["a photo of a fish", "a blue fish that swims from left to right in front of planks", "", "fish " * 100]
    model = open_clip.create_model(TINY, pretrained=str(CHECKPOINT)).eval()
    with torch.inference_mode():
        theirs = model.encode_text(open_clip.get_tokenizer(TINY)([prompt(text) for text in texts]), normalize=True)
    np.testing.assert_allclose(tiny.embed_text(texts), theirs.numpy(), atol=1e-5)
    for text, vector in zip(texts, theirs.numpy(), strict=True):
        np.testing.assert_allclose(tiny.embed_text([text])[0], vector, atol=1e-5)


def test_bf16_on_a_cpu_is_near_fp32(tiny: OpenClipEmbedder) -> None:
    frames = _frames((142, 80))
    half = OpenClipEmbedder(TINY, str(CHECKPOINT), CONFIG, device="cpu", precision="bf16")
    assert (half.embed_images(frames) * tiny.embed_images(frames)).sum(axis=1).min() > 0.99
    assert (half.embed_text(["a blue fish"]) * tiny.embed_text(["a blue fish"])).sum() > 0.99


def test_a_bare_word_is_asked_as_a_caption_and_a_sentence_as_it_is() -> None:
    assert prompt("sunset") == "a photo of sunset"
    assert prompt("  red   ball ") == "a photo of red ball"
    assert prompt("a red ball over grass") == "a red ball over grass"
    assert prompt("") == ""


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("open_clip:ViT-B-33@x", "no model of this name. Use ViT-B-32"),
        ("open_clip:ViT-B-32", "names no weights"),
        ("open_clip:ViT-B-32@/nowhere/weights.pt", "checkpoint file is not there"),
        ("open_clip:ViT-B-32@weights.safetensors", "checkpoint file is not there"),
        ("open_clip:local-dir:/nowhere", "no open_clip_config.json"),
    ],
)
def test_a_model_that_cannot_be_is_refused_at_once(choice: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        open_embedder(Settings(embedder=choice))


def test_a_missing_configuration_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.json: this model configuration is not there"):
        OpenClipEmbedder(TINY, str(CHECKPOINT), tmp_path / "none.json")


def test_a_configuration_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text('{"embed_dim": 3}')
    with pytest.raises(ModelError, match="it lacks text_cfg, vision_cfg"):
        OpenClipEmbedder("odd", str(CHECKPOINT), path).embed_text(["x"])


def test_an_unknown_tag_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"no weights of this tag\. Use openai, laion400m_e31"):
        OpenClipEmbedder("ViT-B-32", "laion9b").embed_text(["x"])


def test_an_unreachable_hub_is_said_with_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*name a local checkpoint file"):
        OpenClipEmbedder("ViT-B-32", "openai").embed_text(["x"])


def test_weights_of_another_model_do_not_fit(tmp_path: Path) -> None:
    config, _ = _tiny_model(tmp_path, "wider", width=48)
    with pytest.raises(ModelError, match=r"cannot be loaded: .*Check that the checkpoint was made"):
        OpenClipEmbedder("wider", str(CHECKPOINT), config).embed_text(["x"])


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
@pytest.mark.parametrize("keep", [0, 500, 100_000])
def test_a_damaged_checkpoint_is_said_to_be_one(tmp_path: Path, name: str, keep: int) -> None:
    import torch

    config, weights = _tiny_model(tmp_path)
    whole = tmp_path / "whole.pt"
    torch.save(weights, whole)
    source = CHECKPOINT if name.endswith("safetensors") else whole
    (tmp_path / name).write_bytes(source.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"damaged|cannot be loaded"):
        OpenClipEmbedder("altered", str(tmp_path / name), config).embed_text(["x"])


def test_a_checkpoint_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    config, _ = _tiny_model(tmp_path)
    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"state_dict": Trap()}))
    with pytest.raises(ModelError, match="holds more than weights"):
        OpenClipEmbedder("altered", str(tmp_path / "trap.pt"), config).embed_text(["x"])
    assert not (tmp_path / "ran").exists()


def test_weights_that_give_no_finite_vector_are_not_trusted(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    config, weights = _tiny_model(tmp_path)
    weights["text_projection"][:] = float("nan")
    save_file(weights, tmp_path / "nan.safetensors")
    embedder = OpenClipEmbedder("altered", str(tmp_path / "nan.safetensors"), config)
    with pytest.raises(ModelError, match="not finite"):
        embedder.embed_text(["a red ball"])
    assert np.isfinite(embedder.embed_images(_frames((80, 80)))).all()


def test_settings_a_machine_cannot_meet_are_refused(tiny: OpenClipEmbedder) -> None:
    import torch

    with pytest.raises(SettingsError, match="a CPU cannot compute it"):
        OpenClipEmbedder(TINY, str(CHECKPOINT), CONFIG, device="cpu", precision="fp16").embed_text(["x"])
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="no CUDA device"):
            OpenClipEmbedder(TINY, str(CHECKPOINT), CONFIG, device="cuda").embed_text(["x"])


def test_a_custom_configurations_own_tokenizer_is_used(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"[PAD]": 0, "[UNK]": 1, "red": 2, "ball": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "words"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    config, weights = _tiny_model(tmp_path, hf_tokenizer_name=str(folder), vocab_size=4)
    weights["token_embedding.weight"] = weights["token_embedding.weight"][:4].clone()
    save_file(weights, tmp_path / "words.safetensors")
    embedder = OpenClipEmbedder("altered", str(tmp_path / "words.safetensors"), config)
    same, other = embedder.embed_text(["red zebra ball", "red giraffe ball"]), embedder.embed_text(["ball ball red"])
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    assert not np.allclose(same[0], other[0], atol=1e-3)


def _publish(folder: Path) -> None:
    """The tiny model as open_clip publishes one: configuration with preprocessing, and weights."""
    folder.mkdir(parents=True)
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}
    published = {"model_cfg": json.loads(CONFIG.read_text()), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(published))
    shutil.copy(CHECKPOINT, folder / "open_clip_model.safetensors")


def test_a_folder_as_open_clip_publishes_it_serves_with_its_own_preprocessing(
    tmp_path: Path, tiny: OpenClipEmbedder
) -> None:
    _publish(tmp_path / "mine")
    embedder = open_embedder(Settings(embedder=f"open_clip:local-dir:{tmp_path / 'mine'}"))
    assert embedder.space.startswith("open_clip/mine/")
    assert (embedder.dimensions, embedder.input_size) == (tiny.dimensions, tiny.input_size)
    wide = _frames((250, 80))
    assert (embedder.embed_images(wide) * tiny.embed_images(wide)).sum(axis=1).max() < 0.99
    np.testing.assert_allclose(embedder.embed_text(["a red ball"]), tiny.embed_text(["a red ball"]), atol=1e-5)


@pytest.fixture
def tiny_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """A hub on loopback with one repository, someone/tiny."""
    _publish(tmp_path / "published")

    class Hub(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return str(tmp_path / "published" / path.rpartition("/")[2].partition("?")[0])

        def end_headers(self) -> None:
            self.send_header("ETag", f'"{blake3(self.path.encode()).hexdigest()[:40]}"')
            self.send_header("X-Repo-Commit", "0123abcd")
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("model", "pretrained"), [("hf-hub:someone/tiny", ""), (TINY, "hf-hub:someone/tiny")])
def test_a_hub_model_is_downloaded_once_and_then_needs_no_hub(
    model: str, pretrained: str, tiny_hub: http.server.ThreadingHTTPServer, tiny: OpenClipEmbedder
) -> None:
    first = OpenClipEmbedder(model, pretrained, CONFIG)
    vectors = first.embed_text(["a red ball"])
    np.testing.assert_allclose(vectors, tiny.embed_text(["a red ball"]), atol=1e-5)
    tiny_hub.shutdown()
    tiny_hub.server_close()
    again = OpenClipEmbedder(model, pretrained, CONFIG)
    assert (again.space, again.dimensions, again.input_size) == (first.space, 64, tiny.input_size)
    np.testing.assert_array_equal(again.embed_text(["a red ball"]), vectors)

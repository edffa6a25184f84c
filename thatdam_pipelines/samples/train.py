"""Train the tiny open_clip model on sample scenes: ``python -m thatdam_pipelines.samples.train``."""

import argparse
import json
import resource
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.open_clip_embedder import OpenClipEmbedder
from thatdam_pipelines.samples.captions import off_topic, paraphrase, vocabulary
from thatdam_pipelines.samples.lessons import Batch, Codes, Lessons, groups, held_out
from thatdam_pipelines.samples.scenes import Scene, random_scene, scene_frames
from thatdam_pipelines.samples.tiny import CHECKPOINT, CONFIG

SEED = 2026
STEPS = 400
BATCH = 256
_LEARNING_RATE = 4e-3
_SHARPNESS = 12.0
_OFF_TOPIC_TOKENS = 128


@dataclass(frozen=True)
class Recall:
    """Shares of queries answered by the right scene first, among all scenes measured.

    Args:
        captions: Queries worded as scenes caption themselves.
        paraphrases: Queries worded as nothing in training was.
        unseen: Captions of combinations of subject, colour and place that training left out.
        matching: Mean cosine of a caption and its own scene.
        off_topic: Mean over texts about something else of the highest cosine with any scene.
    """

    scenes: int
    captions: float
    paraphrases: float
    unseen: float
    matching: float
    off_topic: float


def train(seed: int, steps: int, batch: int, report: Any = None) -> Any:
    """A trained open_clip model of the configuration ``CONFIG``; the same seed gives the same model on one machine."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    open_clip.add_model_config(CONFIG)
    model = open_clip.create_model(CONFIG.stem)
    model = model.to(memory_format=torch.channels_last).train()
    tokenizer = open_clip.get_tokenizer(CONFIG.stem)
    preprocess = open_clip.get_model_preprocess_cfg(model)
    mean, std = (torch.tensor(preprocess[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    lessons = Lessons(seed, config["vision_cfg"]["image_size"], config["embed_dim"], _vocabulary(tokenizer))

    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=_LEARNING_RATE
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps, pct_start=0.15)
    for step, lesson in enumerate(_drawn_ahead(lessons, batch, steps)):
        pictures = torch.from_numpy(lesson.pictures).permute(0, 3, 1, 2).float() / 255
        seen = model.encode_image((pictures - mean) / std, normalize=True)
        noise = torch.randint(1, 49000, (_OFF_TOPIC_TOKENS, tokenizer.context_length))
        tokens = torch.cat([tokenizer(lesson.captions + lesson.texts), _as_texts(noise, tokenizer)])
        said = model.encode_text(tokens, normalize=True)

        wanted = torch.from_numpy(lesson.picture_codes)
        nothing = torch.from_numpy(lessons.nothing).expand(_OFF_TOPIC_TOKENS, -1)
        wanted_text = torch.cat([wanted, torch.from_numpy(lesson.text_codes), nothing])
        aligned = (1 - (seen * wanted).sum(1)).mean() + (1 - (said * wanted_text).sum(1)).mean()
        told = _told_apart(seen, wanted, lessons.codes) + _told_apart(said, wanted_text, lessons.codes)
        loss = 2 * aligned + told + _contrast(seen, said[:batch], wanted, model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, float(np.log(100)))
        if report is not None and (step % 20 == 0 or step == steps - 1):
            report(step, float(loss.detach()), float(aligned.detach()))
    return model.eval()


def _drawn_ahead(lessons: Lessons, batch: int, steps: int) -> Iterator[Batch]:
    """A lesson a step; the next one is drawn while the model learns from this one."""
    with ThreadPoolExecutor(1) as drawing:
        coming = drawing.submit(lessons.batch, batch)
        for _ in range(steps - 1):
            lesson, coming = coming.result(), drawing.submit(lessons.batch, batch)
            yield lesson
        yield coming.result()


def _told_apart(vectors: Any, wanted: Any, codes: Codes) -> Any:
    """Cross-entropy of each group of attributes, over the vectors that should have one of it.

    The contrast of whole captions seldom hangs on the subject alone: this asks for it every time.
    """
    import torch

    book = torch.from_numpy(codes)
    has, scores = wanted @ book.T, _SHARPNESS * vectors @ book.T
    losses = []
    for group in groups():
        strength, right = has[:, group].max(dim=1)
        asked = strength > 0.1
        losses.append(torch.nn.functional.cross_entropy(scores[asked][:, group], right[asked]))
    return torch.stack(losses).sum()


def _contrast(seen: Any, said: Any, wanted: Any, scale: Any) -> Any:
    """CLIP's loss (Radford et al., 2021); pairs that show the same thing are no negatives of each other."""
    import torch

    same = (wanted @ wanted.T > 0.999) & ~torch.eye(len(wanted), dtype=torch.bool)
    logits = (scale * seen @ said.T).masked_fill(same, -1e4)
    right = torch.arange(len(wanted))
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2


def _vocabulary(tokenizer: Any) -> list[str]:
    """Whole words of the tokenizer, without those that sample scenes are told with."""
    known = vocabulary()
    words = [token.removesuffix("</w>") for token in tokenizer.encoder if token.endswith("</w>")]
    return [word for word in words if word.isascii() and word.isalpha() and len(word) > 1 and word not in known]


def _as_texts(tokens: Any, tokenizer: Any) -> Any:
    """Random words as texts of random length, so that words never seen mean nothing instead of anything."""
    import torch

    length = torch.randint(2, tokens.shape[1] // 2, (len(tokens), 1))
    place = torch.arange(tokens.shape[1])[None]
    tokens = torch.where(place < length, tokens, 0)
    tokens = torch.where(place == length, tokenizer.eot_token_id, tokens)
    tokens[:, 0] = tokenizer.sot_token_id
    return tokens


def save(model: Any, path: Path) -> None:
    """The weights as fp16 safetensors."""
    import torch
    from safetensors.torch import save_file

    state = model.state_dict()
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file({name: value.contiguous(memory_format=torch.contiguous_format) for name, value in half.items()}, path)


def measure(embedder: Embedder, seed: int, scenes: int = 120) -> Recall:
    """Search among ``scenes`` different scenes drawn at video size, each by the mean of three frames."""
    rng = np.random.default_rng(seed)
    shown: dict[str, Scene] = {}
    while len(shown) < scenes:
        scene = random_scene(rng)
        shown.setdefault(scene.caption, scene)
    pictures = [frame for scene in shown.values() for frame in scene_frames(scene, 1, 3, (480, 270))]
    size = embedder.input_size
    vectors = embedder.embed_images([_short_edge(frame, size) for frame in pictures])
    means = vectors.reshape(scenes, 3, -1).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    by_caption = embedder.embed_text(list(shown)) @ means.T
    by_paraphrase = embedder.embed_text([paraphrase(scene, rng) for scene in shown.values()]) @ means.T
    elsewhere = embedder.embed_text([off_topic(rng) for _ in range(scenes)]) @ means.T
    right = by_caption.argmax(axis=1) == np.arange(scenes)
    unseen = np.array([held_out(scene) for scene in shown.values()])
    return Recall(
        scenes=scenes,
        captions=float(right.mean()),
        paraphrases=float((by_paraphrase.argmax(axis=1) == np.arange(scenes)).mean()),
        unseen=float(right[unseen].mean()),
        matching=float(by_caption.diagonal().mean()),
        off_topic=float(elsewhere.max(axis=1).mean()),
    )


def _short_edge(frame: Any, size: int) -> Any:
    import cv2

    scale = size / min(frame.shape[:2])
    shape = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    return cv2.resize(frame, shape, interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="where the checkpoint goes (safetensors)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--measure-only", action="store_true", help="measure the checkpoint that is there")
    arguments = parser.parse_args()

    from rich.console import Console

    console = Console()
    if not arguments.measure_only:
        model = train(
            arguments.seed,
            arguments.steps,
            BATCH,
            lambda step, loss, aligned: console.print(f"step {step:4d}  loss {loss:.3f}  misalignment {aligned:.3f}"),
        )
        with tempfile.TemporaryDirectory(dir=arguments.out.parent) as folder:
            part = Path(folder) / arguments.out.name
            save(model, part)
            part.replace(arguments.out)
    recalls = [measure(OpenClipEmbedder(CONFIG.stem, str(arguments.out), CONFIG), seed) for seed in (1, 2, 3)]
    for recall in recalls:
        console.print(recall)
    used = resource.getrusage(resource.RUSAGE_SELF)
    console.print(f"{used.ru_utime + used.ru_stime:.0f} CPU s, {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

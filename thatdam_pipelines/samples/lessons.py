"""What the tiny model learns from: batches of drawn pictures, texts, and the direction each should point in."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.samples.backgrounds import Picture, draw_background
from thatdam_pipelines.samples.captions import off_topic, phrase, place_phrase, subject_phrase
from thatdam_pipelines.samples.scenes import COLOURS, PLACES, SUBJECTS, Scene, Stage, random_scene

Codes = npt.NDArray[np.float32]

_GROUPS = (SUBJECTS, tuple(COLOURS), tuple(PLACES), ("one", "many"))
_ATTRIBUTES = [*(name for group in _GROUPS for name in group), "nothing"]
_WEIGHTS = {"subject": 1.0, "colour": 0.9, "place": 1.0, "count": 0.5}
_BACKDROPS_A_PLACE = 48
_DRAWN_AT = 128
_TEXTS_A_PICTURE = 2


def held_out(scene: Scene) -> bool:
    """Whether this combination of subject, colour and place is kept from training: one in seven is."""
    if scene.subject is None:
        return False
    return zlib.crc32(f"{scene.subject} {scene.colour} {scene.background}".encode()) % 7 == 0


def codes(dimensions: int) -> Codes:
    """One direction for each attribute, all at right angles; [attributes, dimensions]."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((dimensions, dimensions)))[0]
    return basis[: len(_ATTRIBUTES)].astype(np.float32)


def groups() -> list[slice]:
    """Rows of ``codes`` that exclude one another: subjects, colours, places, counts."""
    ends = np.cumsum([len(group) for group in _GROUPS])
    return [slice(int(end) - len(group), int(end)) for end, group in zip(ends, _GROUPS, strict=True)]


def direction(scene: Scene | None, book: Codes, *, place: bool = True, subject: bool = True) -> Codes:
    """Where a picture or text of the scene should point: the sum of its attributes' directions, of unit length.

    Args:
        scene: None for what shows nothing of the vocabulary.
        place: Whether the place is told.
        subject: Whether the subject is told.
    """
    total = np.zeros(book.shape[1], np.float32)
    if scene is None:
        return book[_ATTRIBUTES.index("nothing")]
    if place:
        total += _WEIGHTS["place"] * book[_ATTRIBUTES.index(scene.background)]
    if subject and scene.subject is not None:
        total += _WEIGHTS["subject"] * book[_ATTRIBUTES.index(scene.subject)]
        total += _WEIGHTS["colour"] * book[_ATTRIBUTES.index(scene.colour)]
        total += _WEIGHTS["count"] * book[_ATTRIBUTES.index("many" if scene.many else "one")]
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


@dataclass(frozen=True)
class Batch:
    """Args:
    pictures: uint8 ``[n, size, size, 3]``.
    captions: One text a picture.
    picture_codes: Where each picture and its caption should point, ``[n, dimensions]``.
    texts: Further texts: other captions of the pictures, parts of captions, texts off the topic.
    text_codes: Where those should point.
    """

    pictures: Picture
    captions: list[str]
    picture_codes: Codes
    texts: list[str]
    text_codes: Codes


class Lessons:
    """An endless supply of batches from one seed, leaving out ``held_out`` scenes.

    Args:
        size: Side of the pictures in pixels.
        fillers: Words to throw into texts.
    """

    def __init__(self, seed: int, size: int, dimensions: int, fillers: Sequence[str]) -> None:
        self._rng = np.random.default_rng(seed)
        self._size = size
        self._fillers = fillers
        self.codes = codes(dimensions)
        self.nothing = direction(None, self.codes)
        self._seed = seed
        self._backdrops: dict[tuple[str, int], Picture] = {}

    def batch(self, count: int) -> Batch:
        scenes = [self._scene() for _ in range(count)]
        extra = [self._text(self._scene()) for _ in range(count * _TEXTS_A_PICTURE)]
        return Batch(
            pictures=np.stack([self._picture(scene) for scene in scenes]),
            captions=[self._worded(phrase(scene, self._rng)) for scene in scenes],
            picture_codes=np.stack([direction(scene, self.codes) for scene in scenes]),
            texts=[text for text, _ in extra],
            text_codes=np.stack([code for _, code in extra]),
        )

    def _scene(self) -> Scene:
        while held_out(scene := random_scene(self._rng)):
            pass
        return scene

    def _text(self, scene: Scene) -> tuple[str, Codes]:
        kind = self._rng.random()
        if kind < 0.2:
            return self._worded(off_topic(self._rng)), self.nothing
        if kind < 0.4 or scene.subject is None:
            return self._worded(place_phrase(scene, self._rng)), direction(scene, self.codes, subject=False)
        if kind < 0.6:
            return self._worded(subject_phrase(scene, self._rng)), direction(scene, self.codes, place=False)
        return self._worded(phrase(scene, self._rng)), direction(scene, self.codes)

    def _worded(self, text: str) -> str:
        """The text with up to five words thrown in that change nothing: people write what no template foresees."""
        words = text.split()
        for _ in range(self._rng.integers(1, 6) if self._rng.random() < 0.6 else 0):
            filler = self._fillers[int(self._rng.integers(len(self._fillers)))]
            words.insert(int(self._rng.integers(len(words) + 1)), filler)
        return " ".join(words)

    def _picture(self, scene: Scene) -> Picture:
        """The scene at any moment, before any backdrop of its place, as badly filmed as footage can be."""
        import cv2

        rng = self._rng
        backdrop = self._backdrop(scene.background, int(rng.integers(_BACKDROPS_A_PLACE)))
        side = int(rng.uniform(0.55, 1) * backdrop.shape[0])
        left = rng.integers(backdrop.shape[1] - side + 1)
        top = rng.integers(backdrop.shape[0] - side + 1)
        cut = cv2.resize(backdrop[top : top + side, left : left + side], (_DRAWN_AT, _DRAWN_AT))
        drawn = Stage.of(scene, (_DRAWN_AT, _DRAWN_AT), np.asarray(cut, np.uint8)).frame(float(rng.random()))
        margin = int(rng.integers(0, _DRAWN_AT // 16))
        drawn = drawn[margin : _DRAWN_AT - margin, margin : _DRAWN_AT - margin]
        small = cv2.resize(drawn, (self._size, self._size), interpolation=cv2.INTER_AREA)
        light = small * np.float32(rng.uniform(0.8, 1.15)) + np.float32(rng.uniform(-14, 14))
        light += rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0, 7))
        picture = np.clip(light, 0, 255).astype(np.uint8)
        if rng.random() < 0.3:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))]
            return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR), np.uint8)
        return np.asarray(picture, np.uint8)

    def _backdrop(self, place: str, number: int) -> Picture:
        if (place, number) not in self._backdrops:
            self._backdrops[place, number] = draw_background(place, 256, 192, self._seed + number)
        return self._backdrops[place, number]

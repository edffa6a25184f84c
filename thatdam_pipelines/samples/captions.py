"""Many ways to say what a sample scene shows, and texts that none of them answers."""

from collections.abc import Sequence

import numpy as np

from thatdam_pipelines.samples.scenes import MOTIONS, Scene, plural

_COLOUR_WORDS = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "white": ("white", "snow white"),
    "black": ("black", "jet black"),
}
_SUBJECT_WORDS = {
    "ball": ("ball", "circle", "disc", "round ball"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "pyramid"),
    "star": ("star", "five pointed star"),
    "heart": ("heart", "love heart"),
    "ring": ("ring", "hoop", "donut"),
    "cross": ("cross", "plus sign"),
    "arrow": ("arrow", "pointer"),
    "house": ("house", "home", "cottage"),
    "fish": ("fish", "goldfish"),
    "flower": ("flower", "blossom", "daisy"),
    "crescent": ("crescent", "crescent moon", "moon"),
}
_PLACE_WORDS = {
    "field": ("a green field", "green grass", "a meadow", "the lawn", "a grassy field", "the grass"),
    "sea": ("the blue sea", "blue waves", "the ocean", "blue water", "the sea", "ocean waves"),
    "night": ("a starry night sky", "the night sky", "a sky full of stars at night", "the starry sky", "night"),
    "desert": ("desert dunes", "sand dunes", "the desert", "sandy dunes", "the sand"),
    "snow": ("snowy hills", "snow", "white snow", "a snowy landscape", "winter hills", "the snow"),
    "sunset": ("a sunset sky", "the sunset", "a sunset", "an evening sky", "dusk", "the sky at sunset"),
    "bricks": ("a brick wall", "red bricks", "a wall of bricks", "the brick wall", "bricks"),
    "forest": ("a dark forest", "the forest", "the woods", "tree trunks", "trees in a forest", "trees"),
    "checker": ("a checkered floor", "a chessboard", "black and white tiles", "a checkerboard", "a tiled floor"),
    "planks": ("wooden planks", "a wooden floor", "wood", "wooden boards", "a wooden table", "the planks"),
    "curtain": ("a purple curtain", "a curtain", "purple drapes", "a stage curtain", "the curtain"),
    "city": ("a city skyline", "a city", "tall buildings", "skyscrapers", "city buildings", "the skyline"),
}
_RELATIONS = ("over", "on", "in front of", "above", "before", "against", "in", "with", "at", "near")
_MOTION_WORDS = {
    "still": ("", "standing still", "resting"),
    "sideways": ("", "moving", "moving sideways", "drifting"),
    "rising": ("", "moving", "rising", "floating"),
    "circling": ("", "moving", "circling", "going round"),
    "growing": ("", "growing", "coming closer"),
    "bouncing": ("", "moving", "bouncing", "jumping"),
}
_OPENINGS = (
    "",
    "",
    "",
    "a photo of",
    "a video of",
    "footage of",
    "a clip of",
    "find",
    "show me",
    "a scene with",
    "the",
)
_EMPTY = (
    "a photo",
    "a picture",
    "an image",
    "a frame",
    "a video",
    "footage",
    "a clip",
    "a scene",
    "something",
    "nothing",
)
# fmt: off
_OFF_TOPIC = (
    "people", "man", "woman", "child", "baby", "wedding", "birthday", "party", "interview", "speech", "concert",
    "band", "guitar", "piano", "dancing", "car", "truck", "bus", "train", "plane", "bicycle", "motorcycle", "road",
    "bridge", "dog", "cat", "horse", "cow", "bird", "elephant", "food", "pizza", "cake", "coffee", "kitchen",
    "bedroom", "office", "computer", "phone", "book", "newspaper", "football", "tennis", "swimming", "running",
    "hospital", "school", "church", "market", "rain", "storm", "fire", "smoke", "explosion", "rocket", "robot",
    "machine", "factory", "tractor", "harvest", "mountain", "river", "waterfall", "cave", "airport", "passport",
    "money", "doctor", "soldier", "king", "queen", "chess", "score", "goal", "crowd", "protest", "flag", "map",
    "television",
)
# fmt: on


def phrase(scene: Scene, rng: np.random.Generator) -> str:
    """A caption or query for the scene, worded anew each time."""
    place = _pick(_PLACE_WORDS[scene.background], rng)
    if scene.subject is None:
        return _join(_pick(_OPENINGS, rng), place)
    subject = subject_phrase(scene, rng)
    motion = _pick(_MOTION_WORDS[scene.motion if rng.random() < 0.5 else str(rng.choice(MOTIONS))], rng)
    if rng.random() < 0.75:
        return _join(_pick(_OPENINGS, rng), subject, motion, _pick(_RELATIONS, rng), place)
    return _join(_pick(_OPENINGS, rng), place, _pick(("with", "and", "behind", "under"), rng), subject, motion)


def subject_phrase(scene: Scene, rng: np.random.Generator) -> str:
    """The subject alone: ``a crimson circle``, ``several golden stars``."""
    assert scene.subject is not None
    colour, name = _pick(_COLOUR_WORDS[scene.colour], rng), _pick(_SUBJECT_WORDS[scene.subject], rng)
    if scene.many:
        return _join(_pick(("", "", "several", "three", "some", "a few"), rng), colour, plural(name))
    return _join(_pick(("a", "a", "an", "the", "one"), rng), colour, name)


def place_phrase(scene: Scene, rng: np.random.Generator) -> str:
    return _join(_pick(_OPENINGS, rng), _pick(_PLACE_WORDS[scene.background], rng))


def paraphrase(scene: Scene, rng: np.random.Generator) -> str:
    """A wording that ``phrase`` never gives, to measure with."""
    place = _pick(_PLACE_WORDS[scene.background], rng)
    if scene.subject is None:
        return f"where do we see {place}?"
    subject = subject_phrase(scene, rng)
    forms = ("the shot where {s} can be seen and behind it {p}", "{p}, then {s} comes by", "I need {s} filmed at {p}!")
    return _pick(forms, rng).format(s=subject, p=place)


def off_topic(rng: np.random.Generator) -> str:
    """A text about nothing that sample footage shows; one in four says nothing at all."""
    if rng.random() < 0.25:
        return _join(_pick(_EMPTY, rng), _pick(("", "", "of something", "of a video", "with nothing in it"), rng))
    words = [str(word) for word in rng.choice(_OFF_TOPIC, rng.integers(1, 4), replace=False)]
    return _join(_pick(_OPENINGS, rng), _pick(("", "a", "the", "two"), rng), " ".join(words))


def vocabulary() -> set[str]:
    """Every word that says what is seen."""
    told = [*_COLOUR_WORDS.values(), *_SUBJECT_WORDS.values(), *_PLACE_WORDS.values()]
    words = {word for phrases in told for text in phrases for word in text.split()}
    return words | {plural(word) for word in words} | set(_OFF_TOPIC)


def _pick(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)

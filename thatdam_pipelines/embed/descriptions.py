"""One line that says what is known of a scene or file, and how good it is technically, from its tags by measure.

Nothing a model named is in it: a line says only what was measured.
"""

from collections.abc import Iterator, Mapping

import polars as pl

from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas_motion import DESCRIPTIONS

FAULTS: Mapping[str, float] = {
    "black": 0.9,
    "frozen": 0.5,
    "blurry": 0.4,
    "shaky": 0.3,
    "clipped": 0.3,
    "dead channel": 0.2,
    "inverted phase": 0.2,
    "dark": 0.15,
    "mono in stereo": 0.05,
    "interlaced": 0.05,
    "DC offset": 0.05,
}
"""How much each takes of the quality where it is sure."""

RECIPE = Recipe("descriptions", "1", {"faults": dict(FAULTS)})

_LOOKS = ("black", "frozen", "dark", "bright", "black and white", "colourful", "blurry", "shaky", "static")
_COLOURS = (
    *("red", "orange", "brown", "yellow", "green"),
    *("turquoise", "blue", "purple", "pink", "white"),
)
_KINDS = ("vertical", "square", "4k", "hdr", "slow motion", "interlaced")
_MOVES = {
    "pan": "the camera pans",
    "tilt": "the camera tilts",
    "zoom": "the camera zooms",
    "tripod": "something moves before a camera that stays",
    "fast motion": "fast motion",
    "flash": "with flashes",
}
_SOUND = ("speech", "music", "silent", "clipped", "dead channel", "inverted phase")


def descriptions(tags: pl.DataFrame, batch_id: str) -> pl.DataFrame:
    """Rows of ``descriptions`` for everything that has tags.

    Args:
        tags: Rows of ``tags`` by measure, motion and sound.
    """
    return DESCRIPTIONS.frame([row | {"batch_id": batch_id, "recipe": RECIPE.id} for row in _rows(tags)])


def described(tags: Mapping[str, float]) -> str:
    """A line of the tags there are, in an order that reads well."""
    looks = [tag for tag in (*_LOOKS, *_COLOURS) if tag in tags]
    kinds = [tag for tag in _KINDS if tag in tags]
    moves = [said for tag, said in _MOVES.items() if tag in tags]
    sound = [tag for tag in _SOUND if tag in tags]
    first = f"{', '.join(looks + kinds) or 'plain'} picture" if _has_picture(tags) else "sound alone"
    parts = [first, *moves, *([f"sound: {' and '.join(sound)}"] if sound else [])]
    line = "; ".join(parts)
    return line[0].upper() + line[1:]


def quality(tags: Mapping[str, float]) -> tuple[float, list[str]]:
    """Technical quality, 0 to 1, and the tags that lower it, the worst first."""
    losses = {tag: FAULTS[tag] * score for tag, score in tags.items() if tag in FAULTS}
    left = 1.0
    for loss in losses.values():
        left *= 1 - loss
    return left, sorted(losses, key=lambda tag: (-losses[tag], tag))


def _has_picture(tags: Mapping[str, float]) -> bool:
    return any(tag not in _SOUND and tag not in ("mono in stereo", "DC offset") for tag in tags)


def _rows(tags: pl.DataFrame) -> Iterator[dict[str, object]]:
    for (media_id, item_id), of_item in tags.sort("item_id").group_by("media_id", "item_id", maintain_order=True):
        scores = dict(of_item.select("tag", "score").iter_rows())
        value, reasons = quality(scores)
        yield {
            "media_id": media_id,
            "item_id": item_id,
            "description": described(scores),
            "quality": value,
            "reasons": reasons,
        }

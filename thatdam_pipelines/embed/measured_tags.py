"""Words that follow from measures: light, colour, sharpness, motion of a stretch; shape and kind of a file."""

import colorsys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DARK, BRIGHT = 0.18, 0.7
"""Mean luma below and above which a stretch is called dark or bright."""

GREY, COLOURFUL = 0.03, 0.5
"""Mean HSV saturation below and above which it is called black and white or colourful."""

STATIC, FAST = 0.03, 0.7
"""Luma change a second below and above which it is called static or fast motion; noise of a sensor is about 0.02."""

BLURRY = 15.0
"""Sharpness of its sharpest frame below which it is called blurry; only where there is contrast to see it by."""

_CONTRAST = 0.05
_LIGHT_ENOUGH = 0.06
_COLOR_WEIGHTS = (1.0, 0.6, 0.4)
_COLOR_SHARE = 0.4
_SLOW_MOTION_FPS = 100.0
_SURE = 1.0


@dataclass(frozen=True)
class Look:
    """Measures of a stretch of a clip: one value a frame, and the stretch's motion.

    Args:
        motion: Mean absolute luma change a second; None for a still.
    """

    sharpness: Sequence[float]
    brightness: Sequence[float]
    contrast: Sequence[float]
    saturation: Sequence[float]
    colors: Sequence[Sequence[str]]
    motion: float | None


def look_tags(look: Look) -> dict[str, float]:
    """Words for how a stretch looks, with scores from 0.5 (at the limit) to 1."""
    brightness = sum(look.brightness) / len(look.brightness)
    saturation = sum(look.saturation) / len(look.saturation)
    tags = {
        "dark": _below(brightness, DARK),
        "bright": _above(brightness, BRIGHT, 1.0),
        "black and white": _below(saturation, GREY) if brightness > _LIGHT_ENOUGH else 0.0,
        "colourful": _above(saturation, COLOURFUL, 1.0) if brightness > _LIGHT_ENOUGH else 0.0,
        "blurry": _below(max(look.sharpness), BLURRY) if max(look.contrast) > _CONTRAST else 0.0,
    }
    if look.motion is not None:
        tags |= {"static": _below(look.motion, STATIC), "fast motion": _above(look.motion, FAST, 1.0)}
    return {tag: score for tag, score in tags.items() if score > 0} | _color_tags(look.colors)


def file_tags(probe: Mapping[str, Any]) -> dict[str, float]:
    """Words for what kind of file it is; always one of landscape, portrait, square.

    Args:
        probe: Row of ``probes`` of a file with a picture.
    """
    width, height = probe["display_width"] or probe["width"] or 0, probe["display_height"] or probe["height"] or 0
    shape = "landscape" if width > height else "portrait" if width < height else "square"
    said = {
        shape: True,
        "4k": min(width, height) >= 2160,
        "hdr": probe["hdr"] not in (None, "sdr"),
        "vertical": width < height,
        "interlaced": probe["interlace"] in ("tff", "bff"),
        "slow motion": (probe["average_rate_fps"] or 0.0) >= _SLOW_MOTION_FPS,
        "silent": probe["kind"] == "video" and not probe["has_audio"],
    }
    return {tag: _SURE for tag, holds in said.items() if holds}


def color_name(color: str) -> str | None:
    """The everyday name of ``#rrggbb``; None for greys and near black, which say little.

    Hue limits lie halfway between the basic colour terms on the HSV circle.
    """
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < 0.2 or value < 0.2:
        return "white" if value > 0.85 and saturation < 0.12 else None
    degrees = hue * 360
    if degrees >= 345 or degrees < 15:
        return "pink" if value > 0.8 and saturation < 0.5 else "red"
    if degrees < 42:
        return "brown" if value < 0.6 else "orange"
    names = ((68, "yellow"), (165, "green"), (195, "turquoise"), (255, "blue"), (290, "purple"))
    return next((name for limit, name in names if degrees < limit), "pink")


def _color_tags(frames: Sequence[Sequence[str]]) -> dict[str, float]:
    shares: Counter[str] = Counter()
    for colors in frames:
        seen: dict[str, float] = {}
        for color, weight in zip(colors, _COLOR_WEIGHTS, strict=False):
            if (name := color_name(color)) is not None:
                seen[name] = max(weight, seen.get(name, 0.0))
        shares.update(seen)
    return {name: share / len(frames) for name, share in shares.items() if share / len(frames) >= _COLOR_SHARE}


def _below(value: float, limit: float) -> float:
    return 1 - value / limit / 2 if value < limit else 0.0


def _above(value: float, limit: float, top: float) -> float:
    return min(1.0, 0.5 + (value - limit) / (top - limit) / 2) if value > limit else 0.0

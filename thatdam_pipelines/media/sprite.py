"""The poster of a clip and its hover sprites, cut from the proxy's keyframes."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thatdam_pipelines.media.frames import Rgb, frame_at, keyframes

MAX_TILES = 100
TILE_EDGE = 240
COLUMNS = 10
JPEG_QUALITY = 80
_DARK, _BRIGHT, _FLAT = 0.06, 0.94, 0.03


@dataclass(frozen=True)
class Tile:
    """A thumbnail and the time in the clip, in seconds, it was taken at."""

    time_s: float
    picture: Rgb


def tiles_of(proxy: Path, duration_s: float, width: int, height: int) -> list[Tile]:
    """At most 100 thumbnails of a proxy of that size, evenly spread, at least about a second apart; at least one.

    Raises:
        MediaError: Nothing of the proxy decodes.
    """
    edge = max(2, TILE_EDGE * min(width, height) // max(width, height))
    every_s = max(1.0, duration_s / MAX_TILES)
    if every_s < 5:
        return _thinned([Tile(*found) for found in keyframes(proxy, short_edge=edge, every_s=every_s)])
    times = (part * every_s for part in range(max(1, math.floor(duration_s / every_s))))
    found = {tile.time_s: tile for tile in (Tile(*frame_at(proxy, time_s, short_edge=edge)) for time_s in times)}
    return list(found.values())[:MAX_TILES]


def _thinned(tiles: list[Tile]) -> list[Tile]:
    """Every so many of them, so that no more than ``MAX_TILES`` stay."""
    return tiles[:: math.ceil(len(tiles) / MAX_TILES)]


def write_sprite(tiles: list[Tile], duration_s: float, sheet_path: Path, vtt_path: Path) -> None:
    """Write the tiles as one JPEG sheet, and WebVTT with ``<sheet>#xywh=`` for the time until the next tile."""
    from PIL import Image

    height, width = tiles[0].picture.shape[:2]
    columns = min(COLUMNS, len(tiles))
    sheet = Image.new("RGB", (columns * width, math.ceil(len(tiles) / columns) * height))
    lines = ["WEBVTT", ""]
    ends = [tile.time_s for tile in tiles[1:]] + [max(duration_s, tiles[-1].time_s + 0.001)]
    for number, (tile, end_s) in enumerate(zip(tiles, ends, strict=True)):
        place = (number % columns * width, number // columns * height)
        sheet.paste(Image.fromarray(tile.picture), place)
        start_s = tile.time_s if number else 0.0
        lines += [
            f"{_clock(start_s)} --> {_clock(end_s)}",
            f"{sheet_path.name}#xywh={place[0]},{place[1]},{width},{height}",
            "",
        ]
    sheet.save(sheet_path, "JPEG", quality=JPEG_QUALITY)
    vtt_path.write_text("\n".join(lines), encoding="utf-8")


def write_poster(proxy: Path, tiles: list[Tile], short_edge: int, path: Path) -> float:
    """Write the proxy's most telling keyframe as JPEG at the proxy's own size; gives its time in seconds."""
    from PIL import Image

    time_s, picture = frame_at(proxy, most_telling(tiles).time_s, short_edge=short_edge)
    Image.fromarray(picture).save(path, "JPEG", quality=88)
    return time_s


def most_telling(tiles: list[Tile]) -> Tile:
    """Of the tiles that are neither black, white nor empty the sharper half, and of those the most like the others."""
    luma = [tile.picture.mean(axis=2) / 255 for tile in tiles]
    lit = [i for i, y in enumerate(luma) if _DARK < y.mean() < _BRIGHT and y.std() > _FLAT] or list(range(len(tiles)))
    detail = {i: float(np.abs(np.diff(luma[i], axis=0)).mean() + np.abs(np.diff(luma[i], axis=1)).mean()) for i in lit}
    sharp = sorted(lit, key=lambda i: -detail[i])[: math.ceil(len(lit) / 2)]
    small = {i: tiles[i].picture[::8, ::8].astype(np.float32) for i in lit}
    typical = np.mean(list(small.values()), axis=0)
    return tiles[min(sharp, key=lambda i: float(np.abs(small[i] - typical).mean()))]


def _clock(time_s: float) -> str:
    total_ms = round(time_s * 1000)
    return (
        f"{total_ms // 3_600_000:02d}:{total_ms // 60_000 % 60:02d}:{total_ms // 1000 % 60:02d}.{total_ms % 1000:03d}"
    )

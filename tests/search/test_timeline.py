"""Tracks of a clip's timeline: each says what its table says, and nothing is drawn where there is nothing."""

from typing import Any

import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.search.timeline import timeline


@pytest.fixture(scope="module")
def clips(footage: Any) -> dict[str, dict[str, Any]]:
    """By name: media id, batch and duration of the sample footage."""
    from thatdam_pipelines.library.catalog import run_sql

    rows = run_sql(footage.settings, "SELECT name, media_id, batch_id, duration_s FROM media").to_dicts()
    return {row["name"]: row for row in rows}


def tracks_of(footage: Any, clip: dict[str, Any]) -> dict[str, Any]:
    with Library(footage.settings) as library:
        return {track.name: track.items for track in timeline(library, clip["media_id"], clip["batch_id"])}


def test_stretches_follow_each_other_and_lie_within_the_clip(footage: Any, clips: dict[str, dict[str, Any]]) -> None:
    clip = clips["CLIP0001.MOV"]
    tracks = tracks_of(footage, clip)
    assert {"camera", "motion"} <= set(tracks)
    for items in tracks.values():
        starts = [item.start_s for item in items]
        assert starts == sorted(starts)
        assert all(0 <= item.start_s < item.end_s <= clip["duration_s"] + 0.1 for item in items)


def test_motion_is_told_by_how_much_and_the_camera_by_what_it_does(
    footage: Any, clips: dict[str, dict[str, Any]]
) -> None:
    tracks = tracks_of(footage, clips["CLIP0001.MOV"])
    assert all(0 <= item.strength <= 1 and not item.text for item in tracks["motion"])
    assert any(item.strength > 0 for item in tracks["motion"])
    assert all(item.text and item.strength is None for item in tracks["camera"])


def test_a_still_has_no_timeline(footage: Any, clips: dict[str, dict[str, Any]]) -> None:
    assert tracks_of(footage, next(clip for name, clip in clips.items() if name.endswith(".JPG"))) == {}

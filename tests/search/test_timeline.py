"""Tracks of a clip's timeline: each says what its table says, and nothing is drawn where there is nothing."""

from typing import Any

import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.search.timeline import LAST_S, timeline


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
    assert "motion" in tracks
    for items in tracks.values():
        starts = [item.start_s for item in items]
        assert starts == sorted(starts)
        assert all(0 <= item.start_s < item.end_s <= clip["duration_s"] + LAST_S for item in items)


def test_motion_is_told_as_a_share_of_the_greatest_and_lasts_until_the_next(
    footage: Any, clips: dict[str, dict[str, Any]]
) -> None:
    motion = tracks_of(footage, clips["CLIP0001.MOV"])["motion"]
    assert max(item.strength for item in motion) == 1 and min(item.strength for item in motion) >= 0
    assert [item.end_s for item in motion[:-1]] == [item.start_s for item in motion[1:]]


def test_a_still_has_no_timeline(footage: Any, clips: dict[str, dict[str, Any]]) -> None:
    assert tracks_of(footage, next(clip for name, clip in clips.items() if name.endswith(".JPG"))) == {}

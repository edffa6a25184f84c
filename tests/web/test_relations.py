"""What a clip has to do with others, over the API and on its page, aligned in time."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import RELATIONS, SYNCS
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

COPY = {
    "recipe": "relations-test", "relation": "derived_from", "score": 0.93, "method": "picture",
    "start_s": 1.0, "end_s": 9.0, "other_start_s": 5.0, "other_end_s": 21.0, "offset_s": 3.0, "speed": 2.0,
    "mirrored": False, "operations": ["trim", "speed"],
}  # fmt: skip
BESIDE = {
    "recipe": "sync-test", "group_id": "take-12", "offset_s": 2.0, "drift_ppm": 0.0, "confidence": 0.98,
    "method": "sound", "sure": True, "error_s": 0.0004, "overlap_s": 20.0, "reason": "", "cpu_s": 0.1,
}  # fmt: skip
ALIGNED = """([title, end]) => [...document.querySelectorAll(".relation")]
  .find((one) => one.textContent.includes(title)).querySelector(".named a").href.endsWith(end)"""


@pytest.fixture
def pair(own: Settings) -> tuple[Settings, dict[str, Any], dict[str, Any]]:
    """Two clips, the first said to be a copy of the second and to have been recorded beside it."""
    with Library(own) as library, TestClient(create_app(own), base_url="http://localhost") as client:
        page = client.get("/api/v1/media", params={"kind": "video", "status": "ready", "sort": "name"}).json()
        copy, source = page["items"][:2]
        batch_id = copy["batch_id"]
        both = {"media_id": copy["media_id"], "batch_id": batch_id}
        _add(library, RELATIONS, batch_id, both | COPY | {"other_id": source["media_id"]})
        _add(library, SYNCS, batch_id, both | BESIDE | {"reference_id": source["media_id"]})
        publish(library)
    return own, copy, source


def _add(library: Library, table: Table, batch_id: str, row: dict[str, Any]) -> None:
    rows = library.tables.read(table, batch_id)
    added = pl.DataFrame([row], schema_overrides=dict(rows.schema))
    library.tables.write(table, batch_id, pl.concat([rows, added], how="diagonal"))


def test_a_relation_and_a_sync_are_told_from_either_side(pair: tuple[Settings, dict[str, Any], dict[str, Any]]) -> None:
    settings, copy, source = pair
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        there = client.get(f"{copy['links']['self']}/related").json()
        back = client.get(f"{source['links']['self']}/related").json()
    (made,) = [one for one in there["items"] if one["relation"] == "derived_from"]
    (origin,) = [one for one in back["items"] if one["relation"] == "derived_from"]
    assert (made["direction"], made["media_id"], made["clip"]["name"]) == ("copy", source["media_id"], source["name"])
    assert (origin["direction"], origin["media_id"]) == ("source", copy["media_id"])
    assert (origin["start_s"], origin["other_start_s"], origin["speed"]) == (5.0, 1.0, 0.5)
    assert [one["offset_s"] for one in (*there["synced"], *back["synced"])] == [2.0, -2.0]


def test_a_clips_page_leads_to_the_same_moment_of_what_is_related(
    opened: Callable[..., Any], serve: Callable[[Settings], str], pair: tuple[Settings, dict[str, Any], dict[str, Any]]
) -> None:
    settings, copy, source = pair
    explorer = opened(f"/clips/{copy['media_id']}?t=3", url=serve(settings))
    made = explorer.page.locator(".relation", has_text="Made from").locator(".named a")
    beside = explorer.page.locator(".relation", has_text="Recorded beside it").locator(".named a")
    explorer.page.wait_for_selector(".relation")
    assert made.inner_text() == source["name"]
    explorer.wait(ALIGNED, ["Made from", "?t=9.000"])
    explorer.wait(ALIGNED, ["Recorded beside it", "?t=5.000"])
    explorer.page.click(".relations button.mono")
    explorer.wait(ALIGNED, ["Made from", "?t=5.000"])
    assert "0.4 ms" in explorer.page.inner_text("#relations") and beside.count() == 1
    explorer.check()
    made.click()
    explorer.wait("() => Math.abs(document.querySelector('video')?.currentTime - 5) < 0.1")
    assert explorer.page.inner_text("h1") == source["name"]
    explorer.page.wait_for_selector(".relation:has-text('Made of it')")


def test_the_timeline_shows_what_moves_and_what_is_heard(opened: Callable[..., Any], web: TestClient) -> None:
    page = web.get("/api/v1/media", params={"kind": "video", "status": "ready", "sort": "name"}).json()
    clip = page["items"][0]
    tracks = web.get(f"{clip['links']['self']}/timeline").json()["tracks"]
    explorer = opened(f"/clips/{clip['media_id']}")
    explorer.wait("(count) => document.querySelectorAll('.lane').length === count", len(tracks))
    titles = explorer.page.locator(".lane b").all_inner_texts()
    assert titles == [track["title"] for track in tracks] and "Motion" in titles
    lane = explorer.page.locator(".lane[data-track=motion] span")
    assert lane.count() == len(next(track["items"] for track in tracks if track["name"] == "motion"))
    detail = web.get(clip["links"]["self"]).json()
    assert f"{detail['proxy']['loudness_lufs']:.1f} LUFS" in explorer.page.inner_text(".side")
    explorer.check()

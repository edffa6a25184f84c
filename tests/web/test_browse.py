"""Browsing the sample footage over the API: filters, counts, orders and pages agree with each other."""

from io import BytesIO
from typing import Any

import pytest
from fastapi.testclient import TestClient


def get(web: TestClient, path: str, **query: Any) -> Any:
    answer = web.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("sort", ["shot", "-shot", "added", "-added", "name", "-name", "duration", "-duration", "size"])
def test_pages_follow_each_other_and_show_every_clip_once(web: TestClient, sort: str) -> None:
    every = get(web, "/api/v1/media", sort=sort, limit=500)
    assert every["next_cursor"] is None and every["total"] == len(every["items"]) > 5
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while cursor is not None:
        page = get(web, "/api/v1/media", sort=sort, limit=2, **cursor)
        assert page["total"] == every["total"]
        seen += [clip["media_id"] for clip in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [clip["media_id"] for clip in every["items"]]


def test_every_count_of_a_facet_is_what_choosing_it_shows(web: TestClient) -> None:
    for given in ({}, {"length": "under 10 s", "has_audio": "true"}):
        found = get(web, "/api/v1/facets", **given)["facets"]
        for facet, values in found.items():
            for value in values[:1]:
                chosen = given | {facet: value["value"]}
                assert get(web, "/api/v1/media", limit=1, **chosen)["total"] == value["count"], (given, facet, value)
    assert {"value": "video", "count": 7} in get(web, "/api/v1/facets")["facets"]["kind"]


def test_values_of_a_filter_are_alternatives_and_tags_add_up(web: TestClient) -> None:
    def total(**query: Any) -> int:
        return int(get(web, "/api/v1/media", limit=1, **query)["total"])

    assert total(kind=["image", "audio"]) == total(kind="image") + total(kind="audio") > 0
    red, blue, both = total(tag="red"), total(tag="blue"), total(tag=["red", "blue"])
    assert 0 < both < max(red, blue) and both <= min(red, blue)
    assert total(name="clip0001") == 1 and total(name="%") == 0
    assert total(folder="DCIM") == total(folder="DCIM/100TEST") > 1 and total(folder="DCI") == 0
    assert total(min_duration_s=5, max_duration_s=15) > 0
    assert total(shot_from="2026-05-16", shot_to="2026-05-16") == total(day="2026-05-16") == 7


def test_a_library_in_which_nothing_was_published_is_empty_not_broken(settings: Any) -> None:
    from thatdam_pipelines.web.app import create_app

    with TestClient(create_app(settings), base_url="http://localhost") as client:
        assert get(client, "/api/v1/media") == {"items": [], "total": 0, "next_cursor": None}
        assert get(client, "/api/v1/facets")["facets"]["kind"] == []
        assert get(client, "/api/v1/batches")["items"] == []
        assert get(client, "/stats")["total_files"] == 0
        found = get(client, "/api/v1/search", q="red")
        assert found["items"] == [] and any("Nothing is indexed" in note for note in found["notes"])


def test_everything_known_of_a_clip_is_told(web: TestClient, footage: Any) -> None:
    (clip,) = get(web, "/api/v1/media", name="CLIP0001")["items"]
    told = get(web, clip["links"]["self"])
    assert told["name"] == "CLIP0001.MOV" and told["facts"]["video_codec"] == clip["codec"] == "h264"
    assert {stream["type"] for stream in told["streams"]} >= {"video"}
    assert told["locations"][0]["source_path"].endswith("DCIM/100TEST/CLIP0001.MOV")
    assert told["tags"] and not told["failures"]
    scenes = get(web, clip["links"]["scenes"])["items"]
    assert len(scenes) == clip["scenes"] and scenes[0]["start_s"] == 0 and scenes[0]["tags"]
    stages = get(web, f"{clip['links']['self']}/stages")["items"]
    assert {stage["state"] for stage in stages} == {"done"}
    assert all(stage["run_url"].startswith("http://127.0.0.1:3000/runs/") for stage in stages)


def test_a_clip_that_failed_says_where_why_and_what_to_do(web: TestClient) -> None:
    (clip,) = get(web, "/api/v1/media", status="failed")["items"]
    (failure,) = get(web, clip["links"]["self"])["failures"][:1]
    assert clip["failed_stage"] == failure["stage"] and failure["reason"] and failure["next_step"]


def test_a_batch_tells_its_files_stages_and_run(web: TestClient, footage: Any) -> None:
    (batch,) = get(web, "/api/v1/batches")["items"]
    told = get(web, f"/api/v1/batches/{batch['batch_id']}")
    assert batch["batch_id"] == footage.result.batches[0] and batch["state"] == "done"
    assert len(told["items"]) == batch["files"] == len(footage.result.media)
    assert all(told["stages"].values()) and told["run_url"].endswith(told["run_id"])


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=W10",
        "cursor=WyJuYW1lIiwgIngiLCAieSJd",
        "cursor=WyItc2hvdCIsICJub3QgYSB0aW1lIiwgIngiXQ",
        "limit=0",
        "limit=501",
        "sort=media_id",
        "kind=film",
        "unknown=1",
        "shot_from=yesterday",
        "min_duration_s=nan",
        "has_audio=perhaps",
    ],
)
def test_what_cannot_be_is_refused_with_problem_details(web: TestClient, query: str) -> None:
    answer = web.get(f"/api/v1/media?{query}")
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next_step"]


@pytest.mark.parametrize("name", ["kind", "camera", "album", "folder", "name", "tag", "day", "take"])
def test_filters_are_values_and_never_sql(web: TestClient, name: str) -> None:
    answer = web.get("/api/v1/media", params={name: "x' OR true --"})
    assert answer.status_code == 422 or answer.json()["total"] == 0


def test_a_frame_shows_the_time_that_is_asked_for(web: TestClient) -> None:
    from PIL import Image

    clip = get(web, "/api/v1/media", sort="name", kind="video")["items"][0]
    scenes = get(web, clip["links"]["scenes"])["items"]
    colours = set()
    for scene in scenes:
        answer = web.get(clip["links"]["frame"], params={"t": scene["start_s"] + 0.5})
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
        with Image.open(BytesIO(answer.content)) as picture:
            assert max(picture.size) <= 480
            colours.add(picture.resize((1, 1)).getpixel((0, 0)))
    assert len(colours) == len(scenes) > 3
    sound = get(web, "/api/v1/media", kind="audio")["items"][0]
    assert web.get(sound["links"]["frame"], params={"t": 3}).content == web.get(sound["links"]["frame"]).content

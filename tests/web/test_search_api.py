"""Search over the API: words, pictures and instants of the library find the right moments."""

import io
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from PIL import Image


def found(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_words_find_the_scene_they_describe_with_reasons_and_addresses(web: TestClient, footage: Any) -> None:
    file = next(file for file in footage.files if len(file.shown) > 1)
    shown = file.shown[0]
    said = found(web.get("/api/v1/search", params={"q": shown.caption, "level": "l2"}))
    first = said["items"][0]
    assert Path(first["path"]) == file.path and abs(first["start_s"] - shown.start_s) <= 0.5
    assert first["reasons"] and first["clip"]["name"] == file.path.name and "thatdam-tiny" in said["embedder"]
    for name in ("poster", "sprite", "sprite_vtt", "proxy", "thumbnail"):
        assert web.get(first["links"][name]).status_code == 200


def test_pages_of_one_search_are_parts_of_one_ranking(web: TestClient) -> None:
    whole = found(web.get("/api/v1/search", params={"q": "red", "limit": 100}))["items"]
    assert len(whole) > 3
    pages: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = found(web.get("/api/v1/search", params={"q": "red", "limit": 2, **cursor}))
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert pages == whole


def test_a_filter_narrows_a_search(web: TestClient, footage: Any) -> None:
    still = next(file for file in footage.files if file.path.name == "IMG_0003.JPG")
    asked = {"q": still.shown[0].caption}
    said = found(web.get("/api/v1/search", params=asked | {"kind": "image"}))["items"]
    assert [moment["clip"]["name"] for moment in said] == ["IMG_0003.JPG"]
    assert found(web.get("/api/v1/search", params=asked | {"kind": "audio"}))["items"] == []


def test_a_picture_finds_the_clip_it_is_of(web: TestClient) -> None:
    (clip,) = found(web.get("/api/v1/media", params={"name": "CLIP0001"}))["items"]
    poster = web.get(clip["links"]["poster"]).content
    said = found(web.post("/api/v1/search", files={"image": ("../../../etc/passwd", poster)}))
    assert said["items"][0]["media_id"] == clip["media_id"]


def test_more_like_this_finds_other_moments_and_not_the_one_it_began_with(web: TestClient) -> None:
    first = found(web.get("/api/v1/search", params={"q": "red circle", "level": "l2"}))["items"][0]
    like = f"{first['media_id']}@{first['start_s'] + 0.2:.3f}"
    said = found(web.get("/api/v1/search", params={"like": like}))["items"]
    assert said
    for moment in said:
        same = moment["media_id"] == first["media_id"]
        assert not (same and moment["start_s"] <= first["start_s"] < moment["end_s"])


def test_what_is_no_picture_is_refused_without_telling_where_it_was_put(web: TestClient) -> None:
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    for content in (b"", b"GIF89a", b"<svg/>", bomb.getvalue()):
        answer = web.post("/api/v1/search", files={"image": ("x.png", content)})
        assert answer.status_code == 400, answer.text
        assert "/tmp" not in answer.text


def test_asking_for_nothing_or_for_no_instant_is_refused(web: TestClient) -> None:
    for query in ({}, {"q": "  "}, {"like": "x@1"}, {"like": "0" * 32}, {"q": "red", "cursor": "WyItMSJd"}):
        assert web.get("/api/v1/search", params=query).status_code == 422
    assert web.get("/api/v1/search", params={"like": f"{'0' * 32}@1"}).status_code == 400

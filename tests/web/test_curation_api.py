"""What people say of clips, over the API: said at once, found at once, guarded against each other."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app


@pytest.fixture
def client(own: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(own), base_url="http://localhost") as made:
        yield made


def clips(client: TestClient, **query: Any) -> list[Any]:
    answer = client.get("/api/v1/media", params={"sort": "name"} | query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def change(client: TestClient, media_id: str, status: int = 200, **fields: Any) -> Any:
    answer = client.patch(f"/api/v1/media/{media_id}", json=fields)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_what_is_said_is_found_at_once_by_filter_and_counted(client: TestClient) -> None:
    first, second = clips(client)[:2]
    change(client, first["media_id"], rating=4, add_tags=["place/coast/beach"], state="approved", albums=["Summer"])
    change(client, second["media_id"], rating=2, pick="pick")
    queries = {
        "rating": {"rating": 4},
        "least": {"min_rating": 2},
        "tag": {"tag": "place/coast/beach"},
        "above": {"tag": "Place"},
        "state": {"state": "approved"},
        "album": {"album": "Summer"},
        "pick": {"pick": "pick"},
    }
    found = {name: [clip["media_id"] for clip in clips(client, **query)] for name, query in queries.items()}
    assert found.pop("pick") == [second["media_id"]]
    assert set(found.pop("least")) == {first["media_id"], second["media_id"]}
    assert all(ids == [first["media_id"]] for ids in found.values()), found
    facets = client.get("/api/v1/facets").json()["facets"]
    assert {"value": "4", "count": 1} in facets["rating"] and {"value": "Summer", "count": 1} in facets["album"]
    assert {"value": "place/coast/beach", "count": 1} in facets["tag"]
    assert {"value": "approved", "count": 1} in facets["state"]
    (clip,) = clips(client, rating=4)
    assert clip["tags"] == ["place/coast/beach"] and clip["state"] == "approved" and clip["albums"] == ["Summer"]


def test_many_change_together_or_not_at_all(client: TestClient) -> None:
    ids = [clip["media_id"] for clip in clips(client)[:3]]
    answer = client.patch("/api/v1/media", json={"media_ids": ids, "change": {"rating": 5}})
    assert answer.status_code == 200 and len(answer.json()["items"]) == 3
    answer = client.patch("/api/v1/media", json={"media_ids": [*ids, "0" * 32], "change": {"rating": 1}})
    assert answer.status_code == 404 and len(clips(client, rating=5)) == 3


def test_two_who_change_one_clip_do_not_overwrite_each_other(client: TestClient) -> None:
    media_id = clips(client)[0]["media_id"]
    seen = client.get(f"/api/v1/media/{media_id}").json()["curation"]["version"]
    change(client, media_id, title="First")
    answer = client.patch(f"/api/v1/media/{media_id}", params={"version": seen}, json={"title": "Second"})
    assert answer.status_code == 409 and answer.json()["type"] == "urn:thatdam:conflict"
    assert client.get(f"/api/v1/media/{media_id}").json()["curation"]["title"] == "First"


def test_the_history_tells_who_changed_what(client: TestClient) -> None:
    media_id = clips(client)[0]["media_id"]
    change(client, media_id, rating=1)
    change(client, media_id, rating=2)
    history = client.get(f"/api/v1/media/{media_id}/history").json()["items"]
    assert [past["field"] for past in history[:2]] == ["rating", "rating"]
    assert {past["changed_by"] for past in history} == {"local"}


def test_what_cannot_be_said_is_refused(client: TestClient) -> None:
    media_id = clips(client)[0]["media_id"]
    change(client, media_id, 422, rating=6)
    change(client, media_id, 422, unknown=1)
    change(client, media_id, 422, add_tags=["a//b"])
    change(client, "0" * 32, 404, rating=1)
    change(client, media_id, 200, state="approved")
    change(client, media_id, 409, state="new")


def test_albums_are_made_renamed_and_removed(client: TestClient) -> None:
    media_id = clips(client)[0]["media_id"]
    assert client.post("/api/v1/albums", json={"album": "Trip"}).status_code == 201
    change(client, media_id, add_albums=["Trip"])
    assert client.patch("/api/v1/albums/Trip", json={"album": "Journey"}).status_code == 200
    (album,) = client.get("/api/v1/albums").json()["items"]
    assert album["album"] == "Journey" and album["media"] == 1
    assert client.delete("/api/v1/albums/Journey").status_code == 204
    assert clips(client)[0]["albums"] == [] and client.delete("/api/v1/albums/Journey").status_code == 422


def test_names_of_people_are_data_wherever_they_go(client: TestClient) -> None:
    media_id = clips(client)[0]["media_id"]
    script = "<script>alert('x')</script>"
    change(client, media_id, title=script, add_albums=[script.replace("/", "")])
    answer = client.get(f"/api/v1/media/{media_id}")
    assert answer.headers["content-type"] == "application/json" and answer.json()["curation"]["title"] == script
    assert client.get("/api/v1/media", params={"album": script}).status_code == 200

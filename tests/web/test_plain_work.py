"""The toolbox's plain paths that take files in: only from where a client may, each file once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings, WatchedFolder
from thatdam_pipelines.toolbox.folders import add_folder
from thatdam_pipelines.web.app import create_app

STATUS = "ws://localhost/ws/status"
"""Without a host, the test client names one of its own."""
LIMIT_S = 120
"""For a machine that has much else to do."""


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def card(settings: Settings) -> Path:
    """Two files in a folder of the incoming one."""
    folder = settings.incoming_dir / "card"
    folder.mkdir(parents=True)
    for name in ("a.mov", "b.mov"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_an_album_is_synced_from_below_a_watched_folder_only(
    client: TestClient, settings: Settings, card: Path, tmp_path: Path
) -> None:
    body = {"root": str(card), "album": "Wedding", "category": "digital", "copy": True}
    said = client.post("/sync_album", json=body)
    assert said.status_code == 202
    found = said.json()
    (batch,) = found.pop("batches")
    dest = str(settings.home / "media")
    assert found == {"category": "digital", "album": "Wedding", "synced": 2, "skipped": 0, "dest": dest}
    assert client.post("/sync_album", json=body).json()["batches"] == [batch]
    assert client.post("/sync_album", json=body | {"root": str(tmp_path)}).status_code == 403
    assert client.post("/sync_album", json=body | {"category": "other"}).status_code == 422
    with Library(settings) as library:
        (kept,) = library.ledger.batches()
        assert (kept.mode, kept.album, kept.category, kept.files) == ("copy", "Wedding", "digital", 2)


def test_a_batch_is_made_of_all_paths_or_of_none(
    client: TestClient, settings: Settings, card: Path, tmp_path: Path
) -> None:
    good = [str(card / "a.mov"), str(card / "b.mov")]
    assert client.post("/batches", json={"paths": [*good, str(tmp_path / "x.mov")]}).status_code == 403
    assert client.post("/batches", json={"paths": [*good, str(card / "none.mov")]}).status_code == 400
    assert client.post("/batches", json={}).status_code == 422
    assert client.get("/batches").json()["items"] == []
    (card.parent / "c.mov").write_bytes(b"c")
    body = {"name": "Dailies", "paths": [*good, str(card.parent / "c.mov"), str(card)]}
    (batch,) = client.post("/batches", json=body).json()["batches"]
    with Library(settings) as library:
        (made,) = library.ledger.batches()
        assert (made.batch_id, made.album, made.files) == (batch, "Dailies", 3)
    assert client.get("/batches/incoming").json()["batch_id"] == batch
    assert client.get("/batches/nothing").status_code == 404


def test_folders_are_watched_where_the_settings_let_a_client(settings: Settings, card: Path, tmp_path: Path) -> None:
    nas = tmp_path / "nas"
    (nas / "dailies").mkdir(parents=True)
    (tmp_path / "away").symlink_to(tmp_path)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        for path in (nas / "dailies", tmp_path / "away" / "nas", Path("/etc"), Path("relative")):
            assert client.post("/paths", json={"path": str(path)}).status_code == 403
        assert client.post("/paths", json={"path": str(card / ("x" * 300))}).status_code == 403
    let = settings.model_copy(update={"web_folders": [nas]})
    with TestClient(create_app(let), base_url="http://localhost") as client:
        made = client.post("/paths", json={"path": str(nas / "dailies"), "mode": "reference", "album": "Film"})
        assert made.status_code == 201 and made.json()["mode"] == "reference", made.text
        assert [row["path"] for row in client.get("/paths").json()["items"]][1:] == [str(nas / "dailies")]
        (nas / "dailies" / "c.mov").write_bytes(b"c")
        assert client.post("/scan", json={"directory": str(nas / "dailies")}).status_code == 202
        assert client.delete("/paths", params={"path": str(nas / "dailies")}).status_code == 204
        assert client.delete("/paths", params={"path": str(nas / "dailies")}).status_code == 400
        assert client.delete("/paths", params={"path": "/etc"}).status_code == 403


def test_a_folder_that_is_watched_through_a_link_is_removed_by_either_name(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "disk7").mkdir()
    link = tmp_path / "nas"
    link.symlink_to(tmp_path / "disk7")
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        for name in (link, tmp_path / "disk7"):
            with Library(settings) as library:
                add_folder(library, WatchedFolder(path=link), "local")
            assert client.delete("/paths", params={"path": str(name)}).status_code == 204
            assert len(client.get("/paths").json()["items"]) == 1
        refused = client.delete("/paths", params={"path": str(settings.incoming_dir)})
        assert refused.status_code == 400 and "the settings watch it" in refused.json()["detail"]


def test_the_status_is_heard_live(client: TestClient, card: Path) -> None:
    # The socket waits for ever by itself; where nothing comes, its end sets the thread free.
    with ThreadPoolExecutor(1) as listening, client.websocket_connect(STATUS) as socket:
        batches = client.post("/batches", json={"folder": str(card)}).json()["batches"]
        while (heard := listening.submit(socket.receive_json).result(LIMIT_S))["event"] != "batch":
            pass
        assert heard["data"]["batch_id"] == batches[0]


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_no_other_sites_page_hears_the_status(client: TestClient, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(STATUS, headers=headers):
        pass


def test_nobody_hears_the_status_without_a_login_where_there_is_one(settings: Settings) -> None:
    asks = settings.model_copy(update={"web_login": True})
    with Library(settings) as library:
        library.ledger.accounts.add("maria", "a sentence to log in with", "viewer")
        token = library.ledger.accounts.make_token("maria")
    with TestClient(create_app(asks), base_url="http://localhost") as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STATUS):
            pass
        bearer = {"authorization": f"Bearer {token}"}
        with client.websocket_connect(STATUS, headers=bearer):
            assert client.post("/sync_album", json={"root": "/x"}, headers=bearer).status_code == 403
            assert client.delete("/paths", params={"path": "/x"}, headers=bearer).status_code == 403


def test_words_are_searched_for_as_json_or_in_the_address(web: TestClient) -> None:
    (found,) = web.post("/search", json={"q": "CLIP0001", "type": "video", "limit": 1}).json()
    assert web.post("/search", params={"q": "CLIP0001", "limit": 1}).json() == [found]
    assert found["clip"]["name"] == "CLIP0001.MOV"
    assert web.post("/search").status_code == web.post("/search", json={"q": " "}).status_code == 422

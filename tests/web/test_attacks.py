"""A list of attacks, at every route the application has: none of them works, and none is answered with a fault."""

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from tests.web.routes import ENDLESS, filled, routes_of
from tests.web.serving import serving
from tests.web.test_uploads import TUS, metadata
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.access import READS
from thatdam_pipelines.web.app import create_app
from thatdam_pipelines.web.guard import BODY_BYTES

SECRET = "the secret of this machine"
TAKES_LARGE = ("/api/v1/search", "/api/v1/uploads", "/api/v1/upload")


@pytest.fixture
def client(settings: Settings, tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "secret.txt").write_text(SECRET)
    made = settings.model_copy(update={"dagster_port": 1})
    with TestClient(create_app(made), base_url="http://localhost", follow_redirects=False) as client:
        yield client


def asked(client: TestClient) -> list[tuple[str, str]]:
    routes = [route for route in routes_of(client.app) if route[1] != ENDLESS]  # type: ignore[arg-type]
    assert len(routes) > 60
    return routes


UP = ["..%2f..%2f..%2f..%2fsecret.txt", "%2e%2e%2fsecret.txt", "..%5c..%5csecret.txt", "%2fetc%2fpasswd", "..", "%00",
      "....//....//secret.txt", "..;/secret.txt", "secret.txt%00.jpg", "%c0%ae%c0%ae%c0%afsecret.txt", "~root",
      "file:%2f%2f%2fetc%2fpasswd", "%252e%252e%252fsecret.txt", "0" * 5000]  # fmt: skip


@pytest.mark.parametrize("value", UP)
def test_no_name_and_no_id_leads_to_a_file(client: TestClient, tmp_path: Path, value: str) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    paths = [(method, path) for method, path in asked(client) if "{" in path]
    paths += [("GET", "/static/{x}"), ("GET", "/{x}")]
    for method, path in paths:
        answer = client.request(method, filled(path, value), json={} if method not in READS else None)
        assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.text)
        assert SECRET not in answer.text and "root:x:0" not in answer.text
    outside = [path for path in sorted(tmp_path.rglob("*")) if not path.is_relative_to(tmp_path / "home")]
    assert outside == [path for path in before if not path.is_relative_to(tmp_path / "home")]


BOMB = "[" * 100_000
ODD_BODIES = [BOMB, '{"x":' * 50_000, "null", "[]", '"\\ud800"', "", "\ufeff{}", "{}" * 2, '{"a":1e999999}', "9" * 5000,
              '{"\\u0000":"\\u0000"}', "NaN"]  # fmt: skip
ODD_VALUES = [
    "\ud800",
    "\x00",
    "\u202e",
    10**400,
    -1,
    1e308,
    True,
    None,
    [],
    {},
    "x" * 500_000,
    ["\ud800"],
    [[]],
    "'\";--",
]


def test_no_body_is_answered_with_a_fault(client: TestClient) -> None:
    for method, path in [route for route in asked(client) if route[0] not in READS]:
        for body in ODD_BODIES:
            answer = client.request(
                method, filled(path), content=body.encode("utf-8", "surrogatepass"),
                headers={"Content-Type": "application/json"},
            )  # fmt: skip
            assert answer.status_code < 500 or answer.status_code == 503, (method, path, body[:40], answer.text)


def test_no_value_of_any_field_is_answered_with_a_fault(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    tried = 0
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = re.search(r"#/components/schemas/(\w+)", json.dumps(schema))
            fields = described["components"]["schemas"][name[1]].get("properties", {}) if name else {}
            for field in fields:
                for value in ODD_VALUES:
                    body = json.dumps({field: value}).encode()
                    kind = {"Content-Type": "application/json"}
                    answer = client.request(method.upper(), filled(path), content=body, headers=kind)
                    assert answer.status_code < 500 or answer.status_code == 503, (method, path, field, answer.text)
                    tried += 1
    assert tried > 300


def test_every_route_refuses_a_body_over_its_limit_whether_it_says_so_or_not(client: TestClient) -> None:
    block = b" " * (BODY_BYTES // 4)
    for method, path in [route for route in asked(client) if route[0] not in READS]:
        if filled(path).startswith(TAKES_LARGE):
            continue
        kind = {"Content-Type": "application/json"}
        said = client.request(method, filled(path), content=block * 5, headers=kind)
        assert said.status_code == 413, (method, path, said.text)
        told = client.get("/openapi.json").json()["paths"].get(path, {}).get(method.lower(), {})
        if "requestBody" in told:
            unsaid = client.request(method, filled(path), content=iter([block] * 5), headers=kind)
            assert unsaid.status_code == 413, (method, path, unsaid.text)


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 400, "0x10", " "])
def test_a_length_that_is_none_is_refused(client: TestClient, length: str) -> None:
    answer = client.post("/api/v1/ingest", headers={b"Content-Length": length.encode()}, content=b"{}")  # type: ignore[dict-item]
    assert answer.status_code in (400, 413, 422), answer.text


def test_a_form_of_very_many_parts_is_refused(client: TestClient) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.mov"\r\n\r\nx\r\n'
    for url in ("/api/v1/upload", "/api/v1/search"):
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = client.post(url, content=part * 3000 + b"--b--\r\n", headers=kind)
        assert answer.status_code in (400, 413), answer.text


RANGES = ["bytes=0-" + ",0-" * 2000, "bytes=" + ",".join(f"{n}-{n}" for n in range(2000)), "bytes=-" + "9" * 19,
          "bytes=" + "9" * 4000 + "-", "bytes=0-0,-1", "bytes=\x00", "lines=0-5", "bytes=5-1", "bytes=--1"]  # fmt: skip


def test_no_range_costs_more_than_the_file_once(web: TestClient) -> None:
    (clip,) = web.get("/api/v1/media", params={"name": "CLIP0001"}).json()["items"]
    for name in ("proxy", "poster", "sprite", "original"):
        url = clip["links"][name]
        size = len(web.get(url).content)
        for asked_for in RANGES:
            answer = web.get(url, headers={"Range": asked_for})
            assert answer.status_code in (200, 206, 416) and len(answer.content) <= max(size, 1000), (
                url,
                asked_for[:40],
            )
            assert "multipart" not in answer.headers["content-type"]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Hears whoever is led to it."""
    with socket.create_server(("127.0.0.1", 0)) as heard:
        heard.settimeout(0.2)
        yield heard


def test_no_address_that_a_client_names_is_ever_asked(
    client: TestClient, web: TestClient, listener: socket.socket
) -> None:
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    urls = [f"http://{host}/x.mp4", f"//{host}/x", f"s3://{host}/x", f"rtsp://{host}/x", f"ftp://{host}/x",
            f"concat:http://{host}/x", f"\\\\{host}\\x", f"http://localhost@{host}/"]  # fmt: skip
    playlist = f"#EXTM3U\n#EXTINF:1,\nhttp://{host}/x.ts\n".encode()
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://{host}/x.png"/></svg>'.encode()
    for method, path in asked(client):
        for url in urls[:2]:
            headers = {"X-Forwarded-Host": host, "X-Forwarded-For": host, "Referer": url, "Forwarded": f"host={host}"}
            names = ("q", "path", "to", "dir", "like", "cursor", "url", "name")
            client.request(method, filled(path, "x"), params=dict.fromkeys(names, url), headers=headers)
    for url in urls:
        for path in ("/api/v1/ingest", "/api/embedding/videos/ingest"):
            assert client.post(path, json={"path": url}).status_code == 403
        assert client.post("/scan", json={"directory": url}).status_code == 403
        for query in (f"SELECT * FROM '{url}'", f"SELECT * FROM read_csv('{url}')", f"ATTACH '{url}' AS x"):
            assert client.post("/api/v1/sql", json={"query": query}).status_code == 400
        headers = TUS | {"Upload-Length": "1", "Upload-Metadata": metadata(filename=url, url=url), "Upload-Concat": url}
        client.post("/api/v1/uploads", headers=headers)
    for content in (playlist, svg, f"http://{host}/x.png".encode()):
        assert web.post("/api/v1/search", files={"image": ("x.m3u8", content)}).status_code == 400
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_request_that_two_readers_would_read_differently_is_refused(settings: Settings) -> None:
    smuggled = [
        "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity, chunked, x\r\n\r\n0\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ]
    with serving(settings) as url:
        for request in smuggled:
            with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=60) as connection:
                connection.sendall(request.encode())
                status = connection.recv(65536).split(b" ")[1]
                assert status in (b"400", b"501"), (request, status)


SCRIPT = '<img src=x onerror="alert(1)"><script>alert(1)</script>'
SHOWN = """() => document.body.innerText.includes("onerror")
    || [...document.querySelectorAll("input, textarea")].some((field) => field.value.includes("onerror"))"""
"""The scripts stand on the page, as text."""
NAME = "\"><img src=x onerror=alert(1)>'.mov"


@pytest.fixture
def poisoned(own: Settings) -> str:
    """A clip whose name, tags and texts are all scripts; its media id."""
    with Library(own) as library:
        (batch,) = library.tables.batches(LOCATIONS)
        media_id = str(library.tables.read(LOCATIONS, batch).sort("name")["media_id"][0])
    with TestClient(create_app(own), base_url="http://localhost") as client:
        said = {
            "title": SCRIPT,
            "description": SCRIPT,
            "people": [SCRIPT],
            "add_tags": [SCRIPT],
            "albums": [SCRIPT],
            "rights": {"owner": SCRIPT, "licence": "javascript:alert(1)"},
        }
        for field, value in said.items():
            answer = client.patch(f"/api/v1/media/{media_id}", json={field: value})
            assert answer.status_code in (200, 422), (field, answer.text)
        client.post("/api/v1/uploads", headers=TUS | {"Upload-Length": "9", "Upload-Metadata": metadata(filename=NAME)})
    return media_id


def test_no_name_tag_or_text_becomes_a_script(opened: Any, serve: Any, own: Settings, poisoned: str) -> None:
    quoted = "%3Cimg%20src=x%20onerror=alert(1)%3E"
    pages = [f"/clips/{poisoned}", "/library", "/library/albums", "/library/days", "/", f"/?q={quoted}", "/status",
             f"/library?tag={quoted}&album={quoted}", f"/clips/{quoted}", f"/login?to={quoted}"]  # fmt: skip
    explorer = opened(url=serve(own))
    dialogs: list[str] = []
    explorer.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in pages:
        explorer.goto(path)
        with contextlib.suppress(Exception):
            explorer.page.wait_for_load_state("networkidle", timeout=3000)
        assert explorer.page.locator("img[onerror], script:not([src])").count() == 0, path
    assert dialogs == []
    assert not [one for one in explorer.complaints if "Content Security Policy" in one]
    explorer.goto(f"/clips/{poisoned}").wait(SHOWN)

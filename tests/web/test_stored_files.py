"""Files over HTTP: ranges, validators and HEAD answer as RFC 9110 says, from a disk and from S3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient

from thatdam_pipelines.library.store import Store
from thatdam_pipelines.web.problems import install_problems
from thatdam_pipelines.web.stored_files import stored_file

CONTENT = bytes(range(256)) * 5000


@pytest.fixture(params=["settings", "s3_settings"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestClient]:
    settings = request.getfixturevalue(request.param)
    store = Store(settings.media_url, settings)
    source = tmp_path / "clip.mp4"
    source.write_bytes(CONTENT)
    store.put(source, "raw/clip.mp4")
    app = FastAPI()
    install_problems(app)

    @app.api_route("/clip", methods=["GET", "HEAD"])
    def clip(request: Request, name: str | None = None) -> Response:
        return stored_file(request, store, "raw/clip.mp4", "video/mp4", name=name)

    @app.get("/nothing")
    def nothing(request: Request) -> Response:
        return stored_file(request, store, "raw/none.mp4", "video/mp4")

    with TestClient(app) as made:
        yield made


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-0", 0, 1),
        ("5-99", 5, 100),
        ("1000000-", 1_000_000, None),
        ("-7", -7, None),
        ("600000-1200000", 600_000, 1_200_001),
    ],
)
def test_a_range_is_answered_with_its_bytes(client: TestClient, asked: str, start: int, end: int | None) -> None:
    answer = client.get("/clip", headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206 and answer.content == CONTENT[start:end]
    first = start % len(CONTENT)
    last = (len(CONTENT) if end is None else end) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_the_end_of_a_range_may_lie_behind_that_of_the_file(client: TestClient) -> None:
    answer = client.get("/clip", headers={"Range": f"bytes=10-{10**18}"})
    assert answer.status_code == 206 and answer.content == CONTENT[10:]
    assert client.get("/clip", headers={"Range": f"bytes=-{10**18}"}).content == CONTENT


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=9999999-99999999", "bytes=-0"])
def test_a_range_outside_of_the_file_is_told_its_size(client: TestClient, asked: str) -> None:
    answer = client.get("/clip", headers={"Range": asked})
    assert answer.status_code == 416 and answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


NO_SINGLE_RANGE = ["=", "=-", "=5-2", "=0-1,5-6", "=" + "0-," * 5000, "=a-b", "=" + "9" * 40 + "-", " = 0-1"]


@pytest.mark.parametrize("asked", NO_SINGLE_RANGE)
def test_what_is_no_single_range_is_answered_with_the_whole_file(client: TestClient, asked: str) -> None:
    answer = client.get("/clip", headers={"Range": f"bytes{asked}"})
    assert answer.status_code == 200 and answer.content == CONTENT


def test_a_known_file_is_not_sent_again_and_a_changed_one_not_in_part(client: TestClient) -> None:
    whole = client.get("/clip")
    tag = whole.headers["etag"]
    again = client.get("/clip", headers={"If-None-Match": f'"x", W/{tag}'})
    assert again.status_code == 304 and not again.content and again.headers["etag"] == tag
    assert client.get("/clip", headers={"If-None-Match": '"x"'}).status_code == 200
    part = {"Range": "bytes=0-9"}
    assert client.get("/clip", headers=part | {"If-Range": tag}).status_code == 206
    assert client.get("/clip", headers=part | {"If-Range": whole.headers["last-modified"]}).status_code == 206
    assert client.get("/clip", headers=part | {"If-Range": '"x"'}).status_code == 200


def test_head_tells_what_get_would_send(client: TestClient) -> None:
    for headers in ({}, {"Range": "bytes=3-8"}):
        get, head = client.get("/clip", headers=headers), client.head("/clip", headers=headers)
        assert head.status_code == get.status_code and not head.content
        assert dict(head.headers) == dict(get.headers)


def test_a_file_that_is_gone_is_a_problem_with_a_next_step(client: TestClient) -> None:
    answer = client.get("/nothing")
    assert answer.status_code == 404 and "backup" in answer.json()["next_step"]


def test_a_name_to_save_under_cannot_add_headers(client: TestClient) -> None:
    answer: Any = client.get("/clip", params={"name": 'a"\r\nSet-Cookie: x=1; ü/../b.mov'})
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename*=UTF-8''") and "set-cookie" not in answer.headers
    assert not set(disposition.partition("''")[2]) & set('"\r\n;/ ')

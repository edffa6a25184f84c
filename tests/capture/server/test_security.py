"""Who is answered: a matrix of requests, signed addresses, and credentials that are never shown."""

from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers, QueryParams
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from thatdam_capture.api.problems import Refused
from thatdam_capture.api.security import BODY_LIMIT, Access
from thatdam_capture.api.signing import LIFETIME_S, SignedUrls
from thatdam_capture.errors import SettingsError
from thatdam_capture.settings import Settings

TOKEN = "a-token-for-the-set"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
RECORD = {"camera_ids": ["nobody"]}

OPEN = ["/", "/health", "/ready", "/v1/health", "/viewer/main.js", "/viewer/viewer.css"]
CLOSED = [
    "/v1/status", "/v1/devices", "/v1/devices/cam1", "/v1/devices/cam1/snapshot.jpg", "/v1/devices/cam1/stream",
    "/v1/devices/cam1/hls.m3u8", "/v1/sessions", "/v1/recordings", "/v1/peers", "/v1/metrics", "/metrics",
    "/openapi.json", "/devices", "/api/devices", "/stream/cam1", "/recordings", "/nothing/here",
]  # fmt: skip
WRONG = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong-token-entirely"},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": TOKEN},
    {"Cookie": f"token={TOKEN}"},
]


def ask(url: str, path: str, method: str = "GET", **request: Any) -> int:
    with (
        httpx.Client(base_url=url, trust_env=False, timeout=20) as client,
        client.stream(method, path, **request) as answer,
    ):
        if answer.status_code >= 400:
            answer.read()
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["next_step"]
        return answer.status_code


@pytest.mark.parametrize("path", OPEN)
def test_pages_and_probes_are_open(guarded: Any, path: str) -> None:
    assert ask(guarded.url, path) == 200


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_else_is_answered_without_the_token(guarded: Any, path: str) -> None:
    for headers in WRONG:
        assert ask(guarded.url, path, headers=headers) == 401, headers


@pytest.mark.parametrize("path", ["/v1/status", "/v1/devices/cam1/snapshot.jpg", "/metrics", "/api/devices"])
def test_the_token_opens(guarded: Any, path: str) -> None:
    assert ask(guarded.url, path, headers=BEARER) == 200


@pytest.mark.parametrize("headers", WRONG)
def test_nobody_records_without_the_token(guarded: Any, headers: dict[str, str]) -> None:
    assert ask(guarded.url, "/v1/record", "POST", json=RECORD, headers=headers) == 401
    assert ask(guarded.url, "/record", "POST", json=RECORD, headers=headers) == 401
    assert ask(guarded.url, "/v1/record/x/stop", "POST", headers=headers) == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9000", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.7", ""]
)
@pytest.mark.parametrize("path", ["/", "/v1/status", "/v1/devices/cam1/snapshot.jpg"])
def test_a_name_that_was_bound_to_this_machine_is_refused(recorder: Any, host: str, path: str) -> None:
    assert ask(recorder.url, path, headers={"Host": host}) == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost."])
def test_names_of_this_machine_are_answered(recorder: Any, host: str) -> None:
    assert ask(recorder.url, "/v1/status", headers={"Host": f"{host}:{recorder.port}"}) == 200


FOREIGN = [
    "http://evil.example",
    "null",
    "https://localhost",
    "http://127.0.0.1:1",
    "file://",
    "http://127.0.0.1.evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_pages_of_other_sites_can_do_nothing(recorder: Any, origin: str) -> None:
    headers = {"Origin": origin}
    assert ask(recorder.url, "/v1/record", "POST", json=RECORD, headers=headers) == 403
    assert ask(recorder.url, "/v1/status", headers=headers) == 403
    with pytest.raises(InvalidStatus) as refused:
        connect(recorder.url.replace("http", "ws") + "/v1/events", origin=origin, proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pictures_are_not_for_pages_of_other_sites(recorder: Any, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert ask(recorder.url, "/v1/devices/cam1/stream", headers=headers) == 403
    assert ask(recorder.url, "/", headers=headers) == 200


def test_the_recorders_own_page_is_answered(recorder: Any) -> None:
    assert ask(recorder.url, "/v1/record", "POST", json=RECORD, headers={"Origin": recorder.url}) == 404


def test_without_a_token_only_this_machine_is_answered() -> None:
    access = Access(Settings(), SignedUrls())
    headers = Headers({"host": "localhost:9000"})
    access.check("GET", "/v1/status", headers, QueryParams(), "127.0.0.1")
    access.check("GET", "/v1/status", headers, QueryParams(), "::1")
    for client in ("192.0.2.7", "10.0.0.4", "fe80::1%eth0", "2001:db8::1"):
        with pytest.raises(Refused, match="only this machine"):
            access.check("GET", "/", headers, QueryParams(), client)


def test_listening_on_the_network_without_a_token_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="needs a token"):
        Settings().listening(host="0.0.0.0")


def test_on_the_network_numbers_and_own_names_are_answered_and_strange_names_are_not() -> None:
    settings = Settings.model_validate({"listen": {"host": "0.0.0.0", "names": ["cart.lan"]}, "token": TOKEN})
    access = Access(settings, SignedUrls())
    for host in ("192.0.2.7:9000", "cart.lan", "[2001:db8::1]:9000"):
        access.check("GET", "/v1/status", Headers(BEARER | {"host": host}), QueryParams(), "192.0.2.9")
    with pytest.raises(Refused, match="another host"):
        access.check("GET", "/v1/status", Headers(BEARER | {"host": "evil.example"}), QueryParams(), "192.0.2.9")


def test_a_signed_address_works_without_the_token(guarded: Any) -> None:
    paths = ["/v1/devices/cam1/snapshot.jpg", "/v1/devices/cam1/stream", "/v1/events", "/v1/devices/cam1/frames"]
    urls = guarded.http.post("/v1/sign", json={"paths": paths}).json()["urls"]
    assert ask(guarded.url, urls[paths[0]]) == 200
    assert ask(guarded.url, urls[paths[1]]) == 200
    for path in paths[2:]:
        with connect(guarded.url.replace("http", "ws") + urls[path], proxy=None):
            pass


def test_a_signed_address_opens_nothing_else(guarded: Any) -> None:
    path = "/v1/devices/cam1/snapshot.jpg"
    query = guarded.http.post("/v1/sign", json={"paths": [path]}).json()["urls"][path].partition("?")[2]
    for other in ("/v1/devices/door/snapshot.jpg", "/v1/devices", "/v1/status", "/v1/devices/cam1/stream"):
        assert ask(guarded.url, f"{other}?{query}") == 403
    assert ask(guarded.url, f"/v1/record?{query}", "POST", json=RECORD) == 401
    assert ask(guarded.url, f"{path}?{query[:-1]}{'1' if query.endswith('0') else '0'}") == 403
    assert ask(guarded.url, f"{path}?{query.replace('expires=', 'expires=9')}") == 403
    assert ask(guarded.url, f"{path}?signature=x") == 403


@pytest.mark.parametrize("path", ["/v1/status", "/v1/record", "/v1/devices/../status", "/", "/v1/devices/a/b/stream"])
def test_only_live_views_are_signed(guarded: Any, path: str) -> None:
    assert guarded.http.post("/v1/sign", json={"paths": [path]}).status_code == 400


def test_signed_addresses_end_after_a_minute_and_with_the_process() -> None:
    now = 1000.0
    signed, path = SignedUrls(lambda: now), "/v1/events"
    query = QueryParams(signed.sign(path).partition("?")[2])
    assert signed.allows(path, query)
    assert not SignedUrls(lambda: now).allows(path, query)
    now += LIFETIME_S - 1
    assert signed.allows(path, query)
    now += 1
    assert not signed.allows(path, query)


def test_sockets_need_the_token(guarded: Any) -> None:
    url = guarded.url.replace("http", "ws")
    for path in ("/v1/events", "/v1/devices/cam1/frames", "/ws/status", "/v1/events?expires=9999999999&signature=00"):
        with pytest.raises(InvalidStatus) as refused:
            connect(url + path, proxy=None)
        assert refused.value.response.status_code in (401, 403)
    with connect(f"{url}/v1/events", additional_headers=BEARER, proxy=None):
        pass


def test_bodies_are_limited_also_those_that_state_no_length(recorder: Any) -> None:
    big = b'{"camera_ids": ["' + b"a" * BODY_LIMIT + b'"]}'
    assert ask(recorder.url, "/v1/record", "POST", content=big) == 413
    headers = {"Content-Type": "application/json"}
    assert ask(recorder.url, "/v1/record", "POST", content=iter([big[:40_000], big[40_000:]]), headers=headers) == 413


def test_browsers_are_told_to_be_careful(recorder: Any) -> None:
    for path in ("/", "/v1/status", "/viewer/main.js", "/nothing"):
        headers = recorder.http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_credentials_are_shown_nowhere(guarded: Any) -> None:
    http = guarded.http
    started = http.post("/v1/record", json={"camera_ids": ["door"], "group": "secret-take"}).json()
    url = guarded.url.replace("http", "ws") + "/v1/events?since=0"
    seen = []
    with connect(url, additional_headers=BEARER, proxy=None) as events:
        for _ in range(3):
            seen.append(str(events.recv(timeout=20)))
    http.get("/v1/devices/door/snapshot.jpg")
    seen.append(http.post(f"/v1/record/{started['group_id']}/stop").text)
    seen += [
        http.get(path).text for path in ("/v1/status", "/v1/devices", "/v1/sessions", "/v1/recordings", "/metrics")
    ]
    seen += [guarded.log]
    seen += [path.read_text(errors="replace") for path in (guarded.folder / "store").rglob("*") if path.is_file()]
    everything = "\n".join(seen)
    assert "door" in everything
    assert "hunter2secret" not in everything and TOKEN not in everything

"""Who may ask for what, at every route; and that nobody is let in by another way."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests.web.routes import ENDLESS, filled, routes_of
from thatdam_pipelines.cli import app as cli
from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.accounts import ROLES
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.access import COOKIE, PUBLIC, READS, role_needed
from thatdam_pipelines.web.app import create_app

PASSWORD = "correct horse battery"
READ_THOUGH_POSTED = {"/api/v1/search", "/search", "/api/v1/sql", "/dam/search", "/logout"}
FOR_ADMINS = {"/api/v1/backup", "/backup", "/paths"}


@pytest.fixture
def guarded(settings: Settings) -> Iterator[Settings]:
    """A library whose web application is reached from elsewhere, with an account of each role."""
    made = settings.model_copy(update={"web_host": "192.0.2.7", "logins_per_minute": 50})
    with Library(made) as library:
        for role in ROLES:
            library.ledger.accounts.add(role, PASSWORD, role)
    yield made


@pytest.fixture
def client(guarded: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(guarded), base_url="https://192.0.2.7", follow_redirects=False) as made:
        yield made


@pytest.fixture
def tokens(guarded: Settings) -> dict[str, str]:
    with Library(guarded) as library:
        return {role: library.ledger.accounts.make_token(role) for role in ROLES}


def log_in(client: TestClient, name: str = "editor", password: str = PASSWORD, to: str = "/") -> Any:
    return client.post("/login", data={"name": name, "password": password, "to": to})


def test_every_route_answers_exactly_the_roles_it_is_for(client: TestClient, tokens: dict[str, str]) -> None:
    routes = routes_of(client.app)  # type: ignore[arg-type]
    assert len(routes) > 60
    for method, path in routes:
        url = filled(path)
        needed = role_needed(method, url)
        anonymous = client.request(method, url)
        assert PUBLIC.fullmatch(url) or anonymous.status_code == 401, (method, url, anonymous.status_code)
        # Events have no end; where they are heard is another test.
        for role, token in tokens.items() if path != ENDLESS else ():
            answer = client.request(method, url, headers={"Authorization": f"Bearer {token}"})
            allowed = ROLES.index(role) >= ROLES.index(needed) or PUBLIC.fullmatch(url)
            assert (answer.status_code == 403) == (not allowed), (method, url, role, answer.status_code)
            assert answer.status_code not in (401, 500), (method, url, role, answer.status_code)


def test_whatever_changes_something_is_for_editors_but_what_is_listed_here(client: TestClient) -> None:
    """A route that is posted and only reads, or is for admins alone, is written down here too."""
    for method, path in routes_of(client.app):  # type: ignore[arg-type]
        if method in READS:
            assert role_needed(method, path) == "viewer"
        elif PUBLIC.fullmatch(path):
            assert path == "/login"
        elif path in READ_THOUGH_POSTED:
            assert role_needed(method, path) == "viewer", path
        elif path in FOR_ADMINS:
            assert role_needed(method, path) == "admin", path
        else:
            assert role_needed(method, path) in ("editor", "admin"), path


def test_every_change_with_a_cookie_needs_the_token_of_the_page(client: TestClient) -> None:
    log_in(client, "admin")
    for method, path in routes_of(client.app):  # type: ignore[arg-type]
        if method in READS or path == "/login":
            continue
        answer = client.request(method, filled(path))
        assert answer.status_code == 403 and answer.json()["type"] == "urn:thatdam:csrf", (method, path)
        for origin in ("https://evil.example", "null", "http://192.0.2.7.evil.example"):
            answer = client.request(method, filled(path), headers={"Origin": origin})
            assert answer.status_code == 403 and answer.json()["type"] == "urn:thatdam:origin", (method, path)


def test_a_change_is_never_for_viewers_and_backups_only_for_admins() -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert role_needed(method, "/api/v1/anything/new") == "editor"
    assert role_needed("POST", "/api/v1/backup") == role_needed("POST", "/backup") == "admin"
    assert role_needed("POST", "/api/v1/search") == role_needed("GET", "/api/v1/media") == "viewer"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "nas.example"])
def test_reached_from_elsewhere_it_does_not_start_without_anybody_to_let_in(settings: Settings, host: str) -> None:
    for field in ("web_host", "host"):
        with pytest.raises(SettingsError, match="nobody could log in"):
            create_app(settings.model_copy(update={field: host}))
    with pytest.raises(SettingsError, match="nobody could log in"):
        create_app(settings.model_copy(update={"web_login": True}))


def test_the_token_of_the_settings_is_let_in_and_no_other(settings: Settings) -> None:
    made = Settings(**settings.model_dump() | {"web_host": "0.0.0.0", "web_token": "a-token-of-the-settings"})
    with TestClient(create_app(made), base_url="http://127.0.0.1") as client:
        for secret, status in (("a-token-of-the-settings", 200), ("a-token", 401), ("", 401), ("ü", 401)):
            headers = {"Authorization": f"Bearer {secret}".encode()}
            assert client.get("/api/v1/media", headers=headers).status_code == status
        assert client.get("/health").status_code == 200


def test_a_session_is_a_cookie_that_scripts_cannot_read_and_other_sites_cannot_send(client: TestClient) -> None:
    answer = log_in(client)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "secure" in cookie
    assert client.get("/api/v1/session").json()["name"] == "editor"


def test_a_change_with_the_cookie_alone_is_refused(client: TestClient) -> None:
    log_in(client)
    token = client.get("/api/v1/session").json()["csrf_token"]
    for given, status in (({}, 403), ({"X-CSRF-Token": "x"}, 403), ({"X-CSRF-Token": token}, 422)):
        answer = client.post("/api/v1/search", headers=given)
        assert answer.status_code == status, answer.text


FOREIGN = [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")]


@pytest.mark.parametrize("header", [*FOREIGN, ("Sec-Fetch-Site", "same-site")])
def test_a_change_from_another_sites_page_is_refused_even_where_nobody_logs_in(
    web: TestClient, header: tuple[str, str]
) -> None:
    answer = web.post("/api/v1/search", headers=dict([header]), files={"image": b"x"})
    assert answer.status_code == 403 and answer.json()["type"] == "urn:thatdam:origin"


def test_logging_in_fails_alike_for_wrong_names_and_wrong_passwords(client: TestClient) -> None:
    wrong = [log_in(client, "editor", "x" * 12), log_in(client, "nobody", PASSWORD), log_in(client, "nobody", "")]
    assert {answer.status_code for answer in wrong} <= {401, 422}
    assert wrong[0].text == wrong[1].text and not client.cookies


def test_guessing_passwords_is_slowed_down(guarded: Settings) -> None:
    with TestClient(
        create_app(guarded.model_copy(update={"logins_per_minute": 3})), base_url="https://192.0.2.7"
    ) as client:
        answers = [log_in(client, "editor", f"guess number {number}") for number in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert answers[-1].headers["retry-after"] == "60"


def test_a_caller_who_asks_without_end_is_slowed_down(guarded: Settings, tokens: dict[str, str]) -> None:
    with TestClient(
        create_app(guarded.model_copy(update={"requests_per_minute": 10})), base_url="https://192.0.2.7"
    ) as client:
        statuses = [client.get("/health").status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2


def test_logging_out_a_new_password_and_a_removed_account_end_sessions(client: TestClient, guarded: Settings) -> None:
    def ends(work: Callable[[], object]) -> bool:
        log_in(client)
        assert client.get("/api/v1/session").status_code == 200
        kept = client.cookies[COOKIE]
        work()
        client.cookies.set(COOKIE, kept, domain="192.0.2.7")
        return client.get("/api/v1/session").status_code == 401

    def log_out() -> object:
        token = client.get("/api/v1/session").json()["csrf_token"]
        return client.post("/logout", headers={"X-CSRF-Token": token})

    with Library(guarded) as library:
        accounts = library.ledger.accounts
        assert ends(log_out)
        assert ends(lambda: accounts.set_password("editor", PASSWORD))
        assert ends(lambda: accounts.remove("editor"))


def test_people_are_led_to_the_login_and_back_to_a_page_of_ours_only(client: TestClient) -> None:
    led = client.get("/api/v1/media?kind=video", headers={"Accept": "text/html"})
    assert led.status_code == 303 and led.headers["location"] == "/login?to=%2Fapi%2Fv1%2Fmedia%3Fkind%3Dvideo"
    for to in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\nx"):
        assert log_in(client, to=to).headers["location"] == "/"
    page = client.get("/login", params={"to": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text


def test_no_password_and_no_secret_is_kept_as_it_is(client: TestClient, guarded: Settings, tokens: Any) -> None:
    log_in(client)
    kept = b"".join(path.read_bytes() for path in guarded.home.glob("library.db*"))
    assert PASSWORD.encode() not in kept and b"$argon2id$" in kept
    assert client.cookies[COOKIE].encode() not in kept and tokens["editor"].encode() not in kept


def test_accounts_are_kept_from_the_command_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thatdam_pipelines.users_command.get_settings", lambda: settings)

    def run(*arguments: str, said: str = "") -> Any:
        return CliRunner().invoke(cli, ["users", *arguments], input=said)

    assert run("add", "maria", "--role", "admin", "--password-stdin", said=f"{PASSWORD}\n").exit_code == 0
    (told,) = json.loads(run("list", "--json").output)
    assert (told["name"], told["role"]) == ("maria", "admin")
    assert isinstance(run("add", "maria", "--password-stdin", said=f"{PASSWORD}\n").exception, SettingsError)
    assert isinstance(run("add", "short", "--password-stdin", said="secret\n").exception, SettingsError)
    token = run("token", "maria").output.strip()
    with Library(settings) as library:
        session = library.ledger.accounts.session(token)
        assert session is not None and session.role == "admin"
        assert run("password", "maria", "--password-stdin", said=f"{PASSWORD} staple\n").exit_code == 0
        assert library.ledger.accounts.session(token) is None
    assert run("remove", "maria").exit_code == 0
    assert isinstance(run("remove", "maria").exception, SettingsError)

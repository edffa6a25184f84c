"""What a viewer, an editor and an admin are offered in the Explorer, in a real Chromium."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.library.accounts import ROLES, Role
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings

PASSWORD = "correct horse battery"


@pytest.fixture
def people(own: Settings) -> Settings:
    """A library that asks for a login, with an account of each role; no Dagster answers it."""
    settings = own.model_copy(update={"web_login": True, "dagster_port": 1})
    with Library(settings) as library:
        for role in ROLES:
            library.ledger.accounts.add(role, PASSWORD, role)
    return settings


@pytest.fixture
def log_in(
    opened: Callable[..., Any], serve: Callable[[Settings], str], people: Settings
) -> Callable[[Role, str], Any]:
    """Opens a page as somebody of a role, by the form."""
    url = serve(people)

    def made(role: Role, path: str) -> Any:
        explorer = opened("/login", url=url)
        explorer.check()
        explorer.page.fill("[name=name]", role)
        explorer.page.fill("[name=password]", PASSWORD)
        explorer.press("Enter")
        explorer.page.wait_for_selector("#log-out")
        return explorer.goto(path)

    return made


def choose(explorer: Any, *places: int) -> list[str]:
    """Choose clips of the grid by their places; their names."""
    boxes = explorer.page.locator("#grid .choose")
    for place in places:
        boxes.nth(place).click()
    names = explorer.names
    return [names[place] for place in places]


def test_a_viewer_looks_and_saves_and_is_offered_no_change(
    log_in: Callable[[Role, str], Any], tmp_path: Path, footage: Any
) -> None:
    explorer = log_in("viewer", "/library?status=ready&kind=image&sort=name").answered()
    names = choose(explorer, 0)
    bar = explorer.page.locator("#chosen")
    assert bar.locator("button").all_inner_texts() == ["Choose none"] and bar.locator("input, select").count() == 0
    with explorer.page.expect_download() as saved:
        bar.get_by_text("Download").click()
    saved.value.save_as(tmp_path / "saved.zip")
    with zipfile.ZipFile(tmp_path / "saved.zip") as archive:
        originals = {file.path.name: file.path.read_bytes() for file in footage.files}
        assert {name: archive.read(name) for name in archive.namelist()} == {name: originals[name] for name in names}
    explorer.check()
    explorer.goto(explorer.page.locator("a.card").first.get_attribute("href"))
    explorer.page.wait_for_selector("#said [aria-label='4 stars']")
    assert explorer.page.is_disabled("#said [aria-label='4 stars']") and explorer.page.is_disabled("[data-field=title]")
    explorer.check()
    explorer.page.click("#log-out")
    explorer.page.wait_for_url("**/login")
    explorer.goto("/library").page.wait_for_url("**/login?*")


def test_an_editor_sets_rights_and_state_of_many_and_retries_what_failed(
    log_in: Callable[[Role, str], Any], people: Settings
) -> None:
    explorer = log_in("editor", "/library?sort=name").answered()
    choose(explorer, 0, 1)
    bar = explorer.page.locator("#chosen")
    assert bar.get_by_text("Back up now").count() == 0, "that is for admins"
    bar.get_by_text("Rights …").click()
    explorer.page.fill("dialog [name=owner]", "Maria Sample")
    explorer.page.fill("dialog [name=releases]", "model: Jo, place: barn")
    explorer.page.fill("dialog [name=rights_expire]", "2030-12-31")
    explorer.check()
    explorer.page.get_by_text("Set for 2 clips").click()
    bar.get_by_text("2 clips changed.").wait_for()
    bar.get_by_label("State").select_option("approved")
    explorer.page.wait_for_selector("#facets [id='state=approved']")
    explorer.check()
    with Library(people) as library:
        history = library.ledger.curation
        said = [one for one in history.get_many(history.changed_since(0)).values() if one.owner]
    assert len(said) == 2 and {one.state for one in said} == {"approved"}
    assert {(one.owner, tuple(one.releases), str(one.rights_expire), one.licence) for one in said} == {
        ("Maria Sample", ("model: Jo", "place: barn"), "2030-12-31", None)
    }
    explorer.goto("/library?status=failed").answered()
    choose(explorer, 0)
    bar.get_by_text("Retry 1 failed").click()
    bar.get_by_role("alert").wait_for()
    assert "thatdam up" in bar.get_by_role("alert").inner_text()


def test_an_admin_backs_up_and_is_told_where_no_target_is_set(log_in: Callable[[Role, str], Any]) -> None:
    explorer = log_in("admin", "/library?sort=name").answered()
    choose(explorer, 0)
    explorer.page.locator("#chosen").get_by_text("Back up now").click()
    explorer.page.locator("#chosen [role=alert]").wait_for()
    assert "docs/backup.md" in explorer.page.inner_text("#chosen")

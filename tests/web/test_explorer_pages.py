"""A clip's page, the library and the pages of facts in a real Chromium, over the sample footage."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.settings import Settings


def clip_of(web: TestClient, **filters: Any) -> Any:
    return web.get("/api/v1/media", params={"limit": 1, "sort": "name", **filters}).json()["items"][0]


def test_a_clips_page_plays_it_at_the_time_and_tells_what_is_known(opened: Callable[..., Any], web: TestClient) -> None:
    clip = clip_of(web, kind="video", status="ready")
    explorer = opened(f"/clips/{clip['media_id']}?t=5")
    explorer.wait("() => Math.abs(document.querySelector('video').currentTime - 5) < 0.1")
    explorer.wait("() => document.querySelectorAll('.scenes span').length > 3")
    explorer.wait("() => !document.querySelector('.wave').hidden")
    assert explorer.page.inner_text("h1") == clip["name"]
    said = explorer.page.inner_text(".side")
    assert clip["camera"] in said and clip["codec"] in said and clip["batch_id"] in said
    explorer.wait("() => document.querySelectorAll('.lineage li').length > 5")
    stages = explorer.page.locator(".lineage li").all_inner_texts()
    assert any(stage.startswith("proxies") and "proxy-" in stage for stage in stages)
    explorer.wait("(at) => document.querySelector('#alike').href.includes(at)", f"{clip['media_id']}@5")
    explorer.check()


def test_a_clip_that_failed_says_why_and_what_to_do(opened: Callable[..., Any], web: TestClient) -> None:
    clip = clip_of(web, status="failed")
    explorer = opened(f"/clips/{clip['media_id']}")
    explorer.wait("() => document.querySelectorAll('.lineage li').length > 5")
    assert clip["failed_reason"] in explorer.page.inner_text(".failures")
    assert explorer.page.locator("video").count() == 0
    explorer.check()


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_stills_and_sound_have_pages_too(opened: Callable[..., Any], web: TestClient, kind: str) -> None:
    explorer = opened(f"/clips/{clip_of(web, kind=kind)['media_id']}", scheme="light")
    shown = {
        "image": "document.querySelector('.still').naturalWidth > 100",
        "audio": "!document.querySelector('.wave').hidden",
    }
    explorer.wait(f"() => {shown[kind]}")
    explorer.wait("() => document.querySelectorAll('.lineage li').length > 5")
    explorer.check()


def test_a_clip_that_is_not_there_is_not_found(web: TestClient) -> None:
    assert web.get(f"/clips/{'0' * 32}").status_code == 404


def test_the_library_sorts_filters_and_shows_a_table(opened: Callable[..., Any], web: TestClient) -> None:
    explorer = opened("/library").answered()
    every = web.get("/api/v1/media").json()["total"]
    assert f"{every} clips" in explorer.page.inner_text("#count")
    explorer.page.select_option("#sort", "name")
    explorer.page.wait_for_url("**sort=name*")
    names = explorer.answered().names
    assert len(names) == every and names == sorted(names, key=str.lower)
    explorer.page.click("[data-view=table]")
    explorer.page.wait_for_url("**view=table*")
    explorer.answered()
    assert explorer.page.locator("tbody tr td:nth-child(2)").all_inner_texts() == names
    explorer.check()
    explorer.page.go_back()
    explorer.page.wait_for_selector("#grid")
    explorer.answered().check()


def test_shift_chooses_all_between(opened: Callable[..., Any]) -> None:
    explorer = opened("/library").answered()
    boxes = explorer.page.locator("#grid .choose")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    assert explorer.page.locator("#grid [data-chosen]").count() == 4
    assert "4 clips chosen" in explorer.page.inner_text("#chosen")
    assert explorer.page.locator("#grid .choose :checked").count() == 4
    assert explorer.page.evaluate("getSelection().toString()") == ""
    explorer.check()
    explorer.press("Escape")
    assert explorer.page.locator("#grid [data-chosen]").count() == 0


def test_a_long_library_goes_on_as_one_scrolls(opened: Callable[..., Any]) -> None:
    explorer = opened("/health")
    explorer.page.route(
        "**/api/v1/media?*", lambda route: route.continue_(url=route.request.url.replace("limit=60", "limit=2"))
    )
    explorer.goto("/library?sort=name").answered()
    explorer.wait("() => document.querySelectorAll('.card').length > 8")
    names = explorer.names
    assert names == sorted(names, key=str.lower) and len(set(names)) == len(names)


@pytest.mark.parametrize("shelf", ["days", "folders", "batches", "cameras"])
def test_shelves_lead_to_what_stands_on_them(opened: Callable[..., Any], shelf: str) -> None:
    explorer = opened(f"/library/{shelf}")
    first = explorer.page.locator(".shelves a").first
    clips = first.locator("span.quiet").first.inner_text().split()[0]
    explorer.check()
    first.click()
    explorer.page.wait_for_url("**/library?*")
    assert explorer.answered().page.inner_text("#count").split()[0] == clips


@pytest.mark.parametrize("path", ["/status", "/backups", "/cameras", "/library/albums"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_of_facts_are_whole_at_every_width(opened: Callable[..., Any], path: str, width: int) -> None:
    explorer = opened(path, width=width, scheme="light" if width == 390 else "dark")
    assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width
    explorer.check()


def test_status_tells_who_answers_what_failed_and_what_arrived(opened: Callable[..., Any], web: TestClient) -> None:
    page = opened("/status").page
    assert "open_clip:thatdam-tiny" in page.inner_text(".said-by")
    assert clip_of(web, status="failed")["failed_reason"] in page.inner_text(".failures")
    assert page.locator("a[href^='/library?batch=']").count() >= 1


def test_pages_of_an_empty_library_say_what_to_do(
    serve: Callable[[Settings], str], settings: Settings, browser: Any
) -> None:
    page, url = browser.new_page(), serve(settings)
    for path, said in (
        ("/status", str(settings.incoming_dir)),
        ("/backups", "THATDAM_BACKUP_TARGETS"),
        ("/cameras", "thatdam up"),
    ):
        page.goto(url + path)
        assert said in page.inner_text("main")
    page.close()

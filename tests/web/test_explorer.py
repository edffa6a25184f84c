"""The Explorer in a real Chromium, over the sample footage and a real server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.settings import Settings

QUERY = "red ball on a green field"
GROUND = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"


def right_clip(footage: Any) -> tuple[str, float, float]:
    """Name of the clip that shows what QUERY says, and from when to when."""
    for file in footage.files:
        for shown in file.shown:
            if "red ball" in shown.caption and "field" in shown.caption:
                return Path(file.path).name, shown.start_s, shown.end_s
    raise AssertionError("no clip shows a red ball on a field")


def test_words_find_the_right_moment_first_and_enter_plays_it_there(opened: Callable[..., Any], footage: Any) -> None:
    explorer = opened().search(QUERY)
    name, start_s, end_s = right_clip(footage)
    assert explorer.names[0] == name
    first = explorer.page.locator(".card").first
    explorer.wait("() => document.querySelector('.card img').naturalWidth > 100")
    assert first.locator(".why").inner_text() and 0 < float(first.locator(".score").inner_text()) <= 1
    explorer.check()
    explorer.press("ArrowDown", "Enter")
    explorer.wait("() => document.querySelector('video').currentTime > 0 && !document.querySelector('video').paused")
    explorer.press("k")
    explorer.wait("() => document.querySelector('video').paused")
    time_s = explorer.page.evaluate("document.querySelector('video').currentTime")
    assert start_s - 0.5 <= time_s < end_s + 2
    assert explorer.page.locator(".scenes span").count() > 3
    explorer.check()
    explorer.press("Escape")
    explorer.page.wait_for_selector("#overlay", state="hidden")
    assert explorer.page.evaluate("document.activeElement.matches('a.card')")


def test_the_player_has_an_editors_keys(opened: Callable[..., Any], footage: Any) -> None:
    explorer = opened().search(QUERY)
    explorer.press("ArrowDown", "Enter")
    explorer.wait("() => document.querySelector('video').readyState >= 2")
    explorer.press("k")
    explorer.wait("() => document.querySelector('video').paused && !document.querySelector('video').seeking")
    explorer.press("Home")
    explorer.wait("() => document.querySelector('video').currentTime === 0")
    zero = explorer.page.inner_text(".timecode")
    for key, frames in ((".", 1), (".", 2), (",", 1)):
        explorer.press(key)
        explorer.wait(
            f"(zero) => document.querySelector('.timecode').textContent === zero.slice(0, -1) + {frames}", zero
        )
    explorer.press("i", "ArrowRight", "o")
    explorer.wait("() => !document.querySelector('.marked').hidden")
    marks = explorer.page.locator(".marks button span").all_inner_texts()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d[:;]\d\d", mark) for mark in marks) and marks[0] < marks[1]
    explorer.press("l", "l")
    explorer.wait("() => document.querySelector('.player').dataset.speed === '2'")
    explorer.press("j")
    explorer.wait("() => document.querySelector('.player').dataset.speed === '-1'")
    explorer.press("k", "x", "]")
    explorer.wait("() => document.querySelector('.marked').hidden")
    explorer.press("Escape")
    explorer.page.wait_for_selector("#overlay", state="hidden")
    explorer.check()


def test_the_address_bar_holds_the_query_and_back_returns_to_the_one_before(opened: Callable[..., Any]) -> None:
    explorer = opened().search(QUERY)
    found = explorer.names
    explorer.page.check("[id='kind=image']")
    explorer.page.wait_for_url("**kind=image*")
    explorer.answered()
    assert explorer.names != found and "kind=image" in explorer.page.url and "q=red" in explorer.page.url
    again = opened(explorer.page.url.removeprefix(explorer.url))
    again.answered()
    assert again.names == explorer.names
    explorer.page.go_back()
    explorer.answered()
    assert explorer.names == found and explorer.page.input_value("#q") == QUERY
    assert not explorer.page.is_checked("[id='kind=image']")


def test_without_a_query_it_shows_the_library_and_filters_say_how_many_there_are(
    opened: Callable[..., Any],
) -> None:
    explorer = opened()
    explorer.wait("() => document.querySelectorAll('.card').length > 5")
    label = explorer.page.locator("label", has=explorer.page.locator("[id='kind=video']"))
    count = int(label.locator(".number").inner_text())
    label.click()
    explorer.wait("(count) => document.querySelectorAll('.card').length === count", count)
    explorer.page.click("#clear")
    explorer.wait("(count) => document.querySelectorAll('.card').length > count", count)
    explorer.check()


def test_the_arrows_walk_the_grid_and_more_like_this_finds_others(opened: Callable[..., Any]) -> None:
    explorer = opened("/?status=ready&kind=video")
    explorer.wait("() => document.querySelectorAll('.card').length > 5")
    at = "() => [...document.querySelectorAll('a.card')].indexOf(document.activeElement)"
    for key, place in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 5), ("ArrowUp", 1), ("ArrowLeft", 0)):
        explorer.press(key)
        assert explorer.page.evaluate(at) == place, key
    like = explorer.page.evaluate("document.activeElement.closest('li').item.media_id")
    explorer.press("m")
    explorer.page.wait_for_url(f"**like={like}*")
    explorer.answered()
    assert explorer.page.is_visible("#shown") and "kind=video" in explorer.page.url
    explorer.press("/")
    assert explorer.page.evaluate("document.activeElement.id") == "q"
    explorer.page.locator("h1, .said").first.evaluate("() => document.activeElement.blur()")
    explorer.press("?")
    explorer.page.wait_for_selector("#keyboard[open]")
    explorer.check()


def test_a_picture_finds_the_clip_it_is_of(opened: Callable[..., Any], address: str) -> None:
    explorer = opened("/?status=ready&kind=video")
    explorer.wait("() => document.querySelectorAll('.card').length > 5")
    item = "document.querySelector('li').item"
    name, frame = explorer.page.evaluate(f"[{item}.name, {item}.links.frame]")
    picture = explorer.page.request.get(f"{address}{frame}?t=1").body()
    explorer.page.set_input_files("#picture", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": picture})
    explorer.page.wait_for_selector("#shown")
    explorer.wait("() => document.querySelector('.score')")
    assert explorer.names[0] == name
    explorer.check()


def test_nothing_found_says_why_and_offers_an_explanation(opened: Callable[..., Any]) -> None:
    explorer = opened().search("zzyzx quux 4711")
    assert "Nothing found" in explorer.page.inner_text("#nothing")
    explorer.press("/")
    assert explorer.page.input_value("#explain input") == "zzyzx quux 4711"
    explorer.page.click("#explain button")
    explorer.page.wait_for_selector("#explained .warn:has-text('was ever seen')")
    # The refusal is told by the browser too.
    assert len(explorer.complaints) == 1 and "400" in explorer.complaints.pop()
    explorer.check()


def test_a_file_that_no_search_finds_is_explained_stage_by_stage(opened: Callable[..., Any], web: TestClient) -> None:
    failed = web.get("/api/v1/media", params={"status": "failed", "limit": 1}).json()["items"][0]
    explorer = opened().search(QUERY)
    explorer.page.click("#missing summary")
    explorer.page.fill("#explain input", failed["name"])
    explorer.press("Enter")
    explorer.page.wait_for_selector("#explained .lineage [data-state=failed]")
    assert failed["failed_reason"] in explorer.page.inner_text("#explained")
    explorer.check()
    explorer.page.click("#explained a[href^='/clips/']")
    explorer.page.wait_for_url(f"**/clips/{failed['media_id']}")


def test_an_empty_library_tells_where_to_put_footage(
    opened: Callable[..., Any], serve: Callable[[Settings], str], settings: Settings
) -> None:
    explorer = opened(url=serve(settings))
    explorer.answered()
    assert str(settings.incoming_dir) in explorer.page.inner_text("#nothing")
    explorer.check()


def test_hovering_scrubs_the_clip(opened: Callable[..., Any]) -> None:
    explorer = opened("/?status=ready&kind=video").answered()
    picture = explorer.page.locator(".picture").first
    width = picture.bounding_box()["width"]
    seen = set()
    for part in (0.1, 0.9):
        picture.hover(position={"x": width * part, "y": 70})
        explorer.wait("(seen) => !['', ...seen].includes(document.querySelector('.at').textContent)", sorted(seen))
        seen.add(picture.locator(".at").inner_text())
        assert picture.locator(".scrub").is_visible()
    assert explorer.complaints == []


def test_what_people_and_files_say_is_never_markup(opened: Callable[..., Any]) -> None:
    explorer = opened().search("<img src=x onerror=alert(1)><b>bold</b>")
    assert explorer.page.locator("#nothing img, #nothing b, .why img").count() == 0
    assert explorer.complaints == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_width_scrolls_sideways(opened: Callable[..., Any], width: int) -> None:
    explorer = opened(width=width, height=800, scheme="light").search(QUERY)
    assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width
    explorer.page.click("#open-filters")
    explorer.page.wait_for_selector("#filters fieldset")
    assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width
    explorer.check()


def test_light_and_dark_follow_the_system_and_the_switch(opened: Callable[..., Any]) -> None:
    dark, light = opened(scheme="dark").page, opened(scheme="light").page
    assert dark.evaluate(GROUND) < 60 and light.evaluate(GROUND) > 190
    dark.click("#theme")
    assert dark.evaluate(GROUND) > 190
    dark.reload()
    assert dark.evaluate(GROUND) > 190, "it stays as it was chosen"


@pytest.mark.parametrize(
    ("frames", "fps", "start", "shown"),
    [
        (0, 25, None, "00:00:00:00"),
        (1, 25, "10:00:00:24", "10:00:01:00"),
        (1799, 30000 / 1001, "00:00:00;00", "00:00:59;29"),
        (1800, 30000 / 1001, "00:00:00;00", "00:01:00;02"),
        (17982, 30000 / 1001, "00:00:00;00", "00:10:00;00"),
        (3600, 60000 / 1001, "00:00:00;00", "00:01:00;04"),
        (2, 30000 / 1001, "23:59:59;28", "00:00:00;00"),
    ],
)
def test_timecode_counts_on_from_the_clips_own(
    opened: Callable[..., Any], frames: int, fps: float, start: str | None, shown: str
) -> None:
    script = "async (given) => (await import('/static/figures.js')).timecode(...given)"
    assert opened("/cameras").page.evaluate(script, [frames / fps, fps, start]) == shown

"""What people change in the Explorer, in a real Chromium: ratings, tags, albums; and footage that is dropped on it."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import Settings

DROP = """([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: "video/quicktime" }));
  for (const kind of ["dragenter", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
  }
}"""


def test_a_clip_is_rated_and_tagged_on_its_page_and_found_by_the_tag(
    opened: Callable[..., Any], serve: Callable[[Settings], str], own: Settings
) -> None:
    explorer = opened("/library?kind=video&status=ready&sort=name", url=serve(own)).answered()
    name = explorer.names[0]
    explorer.goto(explorer.page.locator("a.card").first.get_attribute("href"))
    explorer.page.click("[aria-label='4 stars']")
    explorer.page.wait_for_selector("[aria-label='4 stars'][aria-pressed=true]")
    explorer.page.fill("[aria-label='Add a tag']", "keeper shot")
    explorer.press("Enter")
    explorer.page.wait_for_selector(".given button:has-text('keeper shot')")
    explorer.page.select_option("[aria-label=State]", "approved")
    explorer.page.fill("[data-field=title]", "<b>Opening</b>")
    explorer.press("Tab")
    explorer.page.click("summary")
    explorer.page.wait_for_selector(".history li:has-text('rating')")
    explorer.check()
    explorer.goto("/?tag=keeper+shot").answered()
    assert explorer.names == [name]
    explorer.check()


def test_many_clips_are_changed_at_once(
    opened: Callable[..., Any], serve: Callable[[Settings], str], own: Settings
) -> None:
    explorer = opened("/library?sort=name", url=serve(own)).answered()
    boxes = explorer.page.locator("#grid .choose")
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    names = explorer.names[:3]
    explorer.page.fill("[aria-label='Add to album']", "Rough cut")
    explorer.press("Enter")
    explorer.page.wait_for_selector("#facets input[name=album]")
    explorer.goto("/library?album=Rough+cut&sort=name").answered()
    assert explorer.names == names
    explorer.check()


def test_who_opens_an_empty_library_drops_a_clip_and_finds_and_plays_it(
    opened: Callable[..., Any], serve: Callable[[Settings], str], footage: Any, settings: Settings
) -> None:
    content = next(file.path for file in footage.files if not file.broken and file.path.suffix == ".MOV").read_bytes()
    explorer = opened(url=serve(settings)).answered()
    assert "Drop footage on this page" in explorer.page.inner_text("#nothing")
    explorer.check()
    explorer.page.evaluate(DROP, ["Dropped 1.MOV", base64.b64encode(content).decode()])
    explorer.page.wait_for_selector(".arrival p:has-text('Uploaded')")
    with Library(settings) as library:
        waiting = [batch.batch_id for batch in library.ledger.pending_batches()]
    # In a thread of its own: playwright's loop runs in this one.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_batches, settings, waiting, understand=True).result().success
    explorer.page.wait_for_selector(".arrival p:has-text('Every scene can be found')")
    explorer.page.wait_for_selector(".card:has-text('Dropped 1.MOV')")
    explorer.check()
    explorer.search("Dropped")
    assert explorer.names[0] == "Dropped 1.MOV"
    explorer.press("ArrowDown", "Enter")
    explorer.wait("() => document.querySelector('video').currentTime > 0")
    explorer.check()


def test_files_are_added_by_a_button_too(
    opened: Callable[..., Any], serve: Callable[[Settings], str], settings: Settings
) -> None:
    explorer = opened(url=serve(settings)).answered()
    with explorer.page.expect_file_chooser() as choosing:
        explorer.page.get_by_text("Choose files").click()
    choosing.value.set_files([{"name": "chosen.mov", "mimeType": "video/quicktime", "buffer": b"not much of a film"}])
    explorer.page.wait_for_selector(".arrival p:has-text('Uploaded')")
    with Library(settings) as library:
        (batch,) = library.ledger.pending_batches()
        (file,) = library.ledger.batch_files(batch.batch_id)
        assert file.rel_path.endswith("/chosen.mov")
    explorer.check()

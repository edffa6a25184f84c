"""The viewer page in a real Chromium, against a real recorder."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

TOKEN = "a-token-for-the-set"

# Draws a flat or stepped picture through the page's own painter and reads the result back.
PAINT = """async ([levels, overlays]) => {
  const { Painter } = await import("/viewer/painter.js");
  const [width, height] = [levels.length * 20, 40];
  const source = new OffscreenCanvas(width, height);
  const context = source.getContext("2d");
  levels.forEach((level, at) => {
    context.fillStyle = Array.isArray(level) ? `rgb(${level})` : `rgb(${level} ${level} ${level})`;
    context.fillRect(at * 20, 0, 20, height);
  });
  const target = document.createElement("canvas");
  const all = { falseColour: false, zebra: false, peaking: false, zebraLevel: 0.95, ...overlays };
  new Painter().draw(target, source, width, height, all);
  const read = target.getContext("2d");
  return levels.map((_, at) => [...read.getImageData(at * 20 + 2, 10, 16, 16).data]);
}"""

SCOPES = """async (level) => {
  const { measure, drawHistogram, drawWaveform } = await import("/viewer/scopes.js");
  const source = new OffscreenCanvas(320, 180);
  const context = source.getContext("2d");
  context.fillStyle = `rgb(${level} ${level} ${level})`;
  context.fillRect(0, 0, 320, 180);
  const measured = measure(source);
  const brightest = (draw) => {
    const canvas = document.createElement("canvas");
    canvas.style.width = "256px";
    canvas.style.height = "100px";
    document.body.append(canvas);
    draw(canvas, measured);
    const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let best = [0, 0, 0];
    for (let y = 0; y < height; y++) for (let x = 40; x < width - 8; x++) {
      const at = (y * width + x) * 4, light = data[at] + data[at + 1] + data[at + 2];
      if (light > best[2]) best = [x / width, y / height, light];
    }
    canvas.remove();
    return best;
  };
  return { histogram: brightest(drawHistogram), waveform: brightest(drawWaveform), pixels: measured.pixels,
           counted: measured.luma[level] };
}"""

PICTURE = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let grey = 0, mean = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) < 12) grey++;
    mean += data[i] + data[i + 1] + data[i + 2];
  }
  return { grey: grey / (data.length / 4), mean: mean / data.length };
}"""


@dataclass
class Opened:
    """The viewer page, and what it asked for and complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def wait(self, script: str, *arguments: Any) -> None:
        self.page.wait_for_function(script, arg=arguments[0] if arguments else None, timeout=30_000)

    def wait_for_pictures(self, source: str = "frames") -> None:
        self.wait(
            """(source) => { const all = [...document.querySelectorAll('.camera')].filter((one) => !one.hidden);
               return all.length && all.every((one) => one.dataset.source === source && one.dataset.pictures > 3); }""",
            source,
        )

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)


@pytest.fixture
def open_viewer(browser: Any, recorder: Any) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def opened(url: str = "", width: int = 1280, height: int = 800, scheme: str = "dark") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        viewer = Opened(context.new_page())
        viewer.page.on("request", lambda request: viewer.requests.append(request.url))
        viewer.page.on("websocket", lambda socket: viewer.requests.append(socket.url))
        viewer.page.on("pageerror", lambda error: viewer.complaints.append(str(error)))
        viewer.page.on("console", lambda said: viewer.complaints.append(said.text) if said.type == "error" else None)
        viewer.page.goto(url or recorder.url)
        return viewer

    yield opened
    for context in contexts:
        context.close()


def stop_everything(recorder: Any) -> None:
    for session in recorder.http.get("/v1/sessions").json():
        recorder.http.post(f"/v1/record/{session['id']}/stop")


def test_every_camera_is_live_and_nothing_is_asked_of_another_host(open_viewer: Any, recorder: Any) -> None:
    viewer = open_viewer()
    viewer.wait_for_pictures()
    assert viewer.page.locator(".camera").count() == 2
    assert viewer.page.locator(".camera .name").all_inner_texts() == ["A cam", "B cam"]
    assert viewer.page.locator("#disk-free").inner_text().split()[1] in ("GB", "TB", "MB")
    own = recorder.url.partition("://")[2]
    assert all(one.partition("://")[2].startswith(own) for one in viewer.requests if not one.startswith("blob:"))
    assert viewer.complaints == []
    picture = viewer.page.locator(".picture").first.evaluate(PICTURE)
    assert picture["mean"] > 20 and picture["grey"] < 0.9


def test_a_take_is_recorded_and_stopped_from_the_keyboard(open_viewer: Any, recorder: Any) -> None:
    viewer = open_viewer()
    viewer.wait_for_pictures()
    viewer.page.fill("#take", "take-009")
    viewer.page.locator("h1").click()
    viewer.press("r")
    viewer.wait("() => document.querySelectorAll('.camera[data-state=recording]').length === 2")
    assert {one["group_id"] for one in recorder.http.get("/v1/sessions").json()} == {"take-009"}
    assert viewer.page.input_value("#take") == "take-010"
    viewer.wait("() => document.querySelector('.elapsed').textContent >= '00:00:02'")
    assert viewer.page.locator(".dropped").all_inner_texts() == ["0", "0"]
    assert viewer.page.title().startswith("●")
    viewer.press("s")
    viewer.wait("() => document.querySelectorAll('.camera[data-state=idle]').length === 2")
    files = recorder.http.get("/v1/recordings").json()
    assert {one["camera"]["id"] for one in files if one["group_id"] == "take-009"} == {"cam1", "cam2"}
    assert viewer.complaints == []


def test_one_camera_is_recorded_and_stopped_by_its_buttons(open_viewer: Any, recorder: Any) -> None:
    viewer = open_viewer()
    second = viewer.page.locator(".camera").nth(1)
    second.locator(".row .record").click()
    viewer.wait("() => document.querySelectorAll('.camera')[1]?.dataset.state === 'recording'")
    assert [one["camera_id"] for one in recorder.http.get("/v1/sessions").json()] == ["cam2"]
    second.locator(".row .stop").click()
    viewer.wait("() => document.querySelectorAll('.camera')[1].dataset.state === 'idle'")
    viewer.press("Shift+Digit1")
    viewer.wait("() => document.querySelectorAll('.camera')[0].dataset.state === 'recording'")
    viewer.press("Shift+Digit1")
    viewer.wait("() => document.querySelectorAll('.camera')[0].dataset.state === 'idle'")


def test_what_others_start_is_shown_and_what_is_refused_is_said(open_viewer: Any, recorder: Any) -> None:
    viewer = open_viewer()
    viewer.wait_for_pictures()
    idle = recorder.http.get("/v1/status").text
    viewer.page.route("**/v1/status", lambda route: route.fulfill(body=idle, content_type="application/json"))
    recorder.http.post("/v1/record", json={"camera_ids": ["cam1"], "group": "from-elsewhere"})
    viewer.page.locator(".row .record").first.click()
    viewer.wait("() => document.querySelector('#banner').textContent.includes('recording already. Stop it first')")
    viewer.page.unroute("**/v1/status")
    viewer.wait("() => document.querySelector('.camera .note').textContent.includes('from-elsewhere')")
    stop_everything(recorder)


def test_false_colours_are_those_of_the_key(open_viewer: Any) -> None:
    levels = [0, 8, 60, 102, 120, 138, 200, 249, 255]
    painted = open_viewer().page.evaluate(PAINT, [levels, {"falseColour": True}])
    first = [tuple(patch[:3]) for patch in painted]
    purple, blue, dark, green, grey, pink, light, yellow, red = first
    assert purple[2] > purple[0] > purple[1] and blue[2] > 200 > blue[0]
    assert green[1] > 150 > max(green[0], green[2]) and pink[0] > 220 > pink[1] > 130
    assert yellow[0] > 230 and yellow[1] > 200 and yellow[2] < 90 and red[0] > 200 > 60 > red[1]
    for shown, level in ((dark, 60), (grey, 120), (light, 200)):
        assert all(abs(channel - level) <= 2 for channel in shown)


def test_zebras_stripe_what_is_brighter_than_their_level_and_nothing_else(open_viewer: Any) -> None:
    page = open_viewer().page
    for level, striped in ((0.95, [False, False, True, True]), (0.7, [False, True, True, True])):
        patches = page.evaluate(PAINT, [[128, 200, 245, 255], {"zebra": True, "zebraLevel": level}])
        for patch, expected in zip(patches, striped, strict=True):
            lights = set(patch[::4])
            assert (min(lights) < 30 and max(lights) > 225) is expected, (level, lights)
            assert expected or max(lights) - min(lights) <= 4


def test_peaking_marks_edges_and_nothing_else(open_viewer: Any) -> None:
    page = open_viewer().page
    script = PAINT.replace("at * 20 + 2, 10, 16, 16", "at * 20 + 12, 10, 16, 1")
    edge, ramp = (page.evaluate(script, [levels, {"peaking": True}])[0] for levels in ([0, 255], [120, 130]))
    red = [edge[i] > 200 and edge[i + 1] < 80 for i in range(0, len(edge), 4)]
    assert any(red) and not all(red)
    assert not any(ramp[i] > 200 for i in range(0, len(ramp), 4))


@pytest.mark.parametrize("level", [64, 128, 191])
def test_scopes_show_a_grey_picture_where_its_level_is(open_viewer: Any, level: int) -> None:
    shown = open_viewer().page.evaluate(SCOPES, level)
    assert shown["counted"] == shown["pixels"]
    assert abs(shown["histogram"][0] - level / 255) < 0.02
    assert abs((1 - shown["waveform"][1]) - level / 255) < 0.03


def test_overlays_are_drawn_on_the_live_picture_and_stay_chosen(open_viewer: Any) -> None:
    viewer = open_viewer()
    viewer.wait_for_pictures()
    picture = viewer.page.locator(".picture").first
    assert picture.evaluate(PICTURE)["grey"] < 0.8
    viewer.press("f")
    viewer.wait("() => document.querySelector('[data-overlay=falseColour]').getAttribute('aria-pressed') === 'true'")
    viewer.page.wait_for_timeout(600)
    assert picture.evaluate(PICTURE)["grey"] > 0.6, "colours of the scene became levels"
    assert viewer.page.locator(".key").first.is_visible()
    viewer.press("h")
    viewer.press("w")
    viewer.page.wait_for_timeout(600)
    for name in ("histogram", "waveform"):
        assert viewer.page.locator(f".{name}").first.is_visible()
        assert viewer.page.locator(f".{name}").first.evaluate(PICTURE)["mean"] > 12
    viewer.page.reload()
    viewer.wait_for_pictures()
    assert viewer.page.locator("[data-overlay=waveform]").get_attribute("aria-pressed") == "true"


def test_one_camera_alone_is_the_only_one_watched(open_viewer: Any, recorder: Any) -> None:
    viewer = open_viewer()
    viewer.wait_for_pictures()
    viewer.press("2")
    assert [one.is_visible() for one in viewer.page.locator(".camera").all()] == [False, True]
    deadline = time.monotonic() + 10
    while recorder.http.get("/v1/status").json()["viewers"]["frames"] != 1:
        assert time.monotonic() < deadline
    viewer.press("Escape")
    assert [one.is_visible() for one in viewer.page.locator(".camera").all()] == [True, True]


def test_low_bandwidth_plays_webrtc(open_viewer: Any, recorder: Any) -> None:
    viewer = open_viewer()
    viewer.wait("() => !document.querySelector('#webrtc').disabled")
    viewer.press("b")
    viewer.wait_for_pictures("webrtc")
    before = int(viewer.page.locator(".camera").first.get_attribute("data-pictures"))
    viewer.wait("(before) => document.querySelector('.camera').dataset.pictures > before + 5", before)
    assert recorder.http.get("/v1/status").json()["viewers"]["whep"] == 2
    picture = viewer.page.locator(".picture").first.evaluate(PICTURE)
    assert picture["mean"] > 20 and picture["grey"] < 0.9
    viewer.press("f")
    viewer.page.wait_for_timeout(800)
    assert viewer.page.locator(".picture").first.evaluate(PICTURE)["grey"] > 0.6
    viewer.press("b")
    viewer.wait_for_pictures("frames")
    deadline = time.monotonic() + 10
    while recorder.http.get("/v1/status").json()["viewers"]["whep"]:
        assert time.monotonic() < deadline


def test_mjpeg_plays_in_an_img(open_viewer: Any) -> None:
    played = open_viewer().page.evaluate(
        """async () => {
          const image = new Image();
          image.src = "/v1/devices/cam1/stream";
          document.body.append(image);
          const canvas = new OffscreenCanvas(160, 90).getContext("2d", { willReadFrequently: true });
          const seen = new Set();
          for (let i = 0; i < 100 && seen.size < 5; i++) {
            await new Promise((later) => setTimeout(later, 100));
            if (image.naturalWidth !== 160) continue;
            canvas.drawImage(image, 0, 0);
            seen.add(canvas.getImageData(0, 0, 160, 90).data.join());
          }
          return seen.size;
        }"""
    )
    assert played == 5


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_width_scrolls_sideways(open_viewer: Any, width: int) -> None:
    viewer = open_viewer(width=width, height=800)
    viewer.wait_for_pictures()
    for key in "fhw":
        viewer.press(key)
    viewer.page.wait_for_timeout(300)
    assert viewer.page.evaluate("document.documentElement.scrollWidth") <= width
    for button in viewer.page.locator("button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, button.inner_text()
    record = viewer.page.locator("#record-all").bounding_box()
    assert width > 640 or record["height"] >= 44, "large enough for a thumb"


def test_every_camera_is_seen_without_scrolling_on_a_laptop(open_viewer: Any) -> None:
    viewer = open_viewer(width=1280, height=720)
    viewer.wait_for_pictures()
    for key in ("h", "1"):
        viewer.press(key)
        viewer.page.wait_for_timeout(200)
        assert viewer.page.evaluate("document.documentElement.scrollHeight") <= 720


def test_light_and_dark_follow_the_system_and_the_key(open_viewer: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    dark, light = open_viewer(scheme="dark").page, open_viewer(scheme="light").page
    assert dark.evaluate(ground) < 60 and light.evaluate(ground) > 190
    dark.keyboard.press("d")
    assert dark.evaluate(ground) > 190


def test_a_token_is_asked_for_once_and_sockets_work_with_it(open_viewer: Any, guarded: Any) -> None:
    viewer = open_viewer(guarded.url)
    viewer.page.wait_for_selector("#login[open]")
    viewer.page.fill("#token", TOKEN)
    viewer.page.keyboard.press("Enter")
    viewer.wait("() => document.querySelector('.camera')?.dataset.pictures > 3")
    viewer.page.reload()
    viewer.wait("() => document.querySelector('.camera')?.dataset.pictures > 3")
    assert viewer.page.locator("#login[open]").count() == 0
    assert not any(TOKEN in one for one in viewer.requests)


def test_a_recorder_that_went_away_is_said_loudly_and_found_again(
    open_viewer: Any, start_recorder: Callable[..., Any]
) -> None:
    recorder = start_recorder()
    viewer = open_viewer(recorder.url)
    viewer.wait_for_pictures()
    recorder.terminate()
    viewer.wait("() => document.querySelector('#banner[data-grave]')?.textContent.includes('not answered')")
    viewer.wait("() => document.querySelector('.signal').textContent.startsWith('No new picture')")
    start_recorder(listen={"port": recorder.port})
    viewer.wait("() => document.querySelector('#banner').hidden && document.querySelector('.signal').hidden")

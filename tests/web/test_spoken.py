"""A clip in which somebody speaks: found by a word at the second it is said, with its words in the player."""

import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from rich.console import Console

from thatdam_pipelines.ingest_command import ingest_paths
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.samples.sounds import write_wav
from thatdam_pipelines.samples.speeches import speech_about
from thatdam_pipelines.samples.tiny import tiny_settings
from thatdam_pipelines.settings import Settings


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A library of one interview, ingested by real runs."""
    folder = tmp_path_factory.mktemp("spoken")
    (folder / "drop").mkdir()
    settings = Settings(home=folder / "home", workers=2, disk_reserve_bytes=0, **tiny_settings())  # type: ignore[arg-type]
    sound = write_wav(folder / "speech.wav", np.stack([speech_about(("camera",), seed=2).samples] * 2))
    picture = ["-f", "lavfi", "-i", "testsrc2=size=480x270:rate=25", "-i", str(sound), "-shortest"]
    made = [*picture, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(folder / "drop" / "interview.mp4")]
    subprocess.run([ffmpeg_exe(settings), "-v", "error", *made], check=True)
    result = ingest_paths(settings, [folder / "drop"], "copy", wait=True, console=Console(quiet=True))
    assert result.finished and not result.failed
    return settings


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str], spoken: Settings) -> str:
    return serve(spoken)


@pytest.fixture(scope="module")
def clip(address: str) -> dict[str, Any]:
    [item] = httpx.get(f"{address}/api/v1/media").json()["items"]
    return item  # type: ignore[no-any-return]


def test_the_api_tells_its_words_and_gives_subtitles_as_files(address: str, clip: dict[str, Any]) -> None:
    base = f"{address}/api/v1/media/{clip['media_id']}"
    told = httpx.get(f"{base}/transcript").json()
    assert told["language"] == "en" and "camera" in " ".join(cue["text"] for cue in told["cues"]).lower()
    tracks = {track["name"] for track in httpx.get(f"{base}/timeline").json()["tracks"]}
    assert {"said", "subjects", "speech"} <= tracks
    for name, media_type in (("srt", "application/x-subrip"), ("vtt", "text/vtt"), ("txt", "text/plain")):
        file = httpx.get(f"{base}/transcript.{name}")
        assert file.headers["content-type"].startswith(media_type) and told["cues"][0]["words"][0]["text"] in file.text
    assert httpx.get(f"{address}/api/v1/media/{'0' * 32}/transcript").status_code == 404


def test_a_word_leads_to_the_second_and_the_player_shows_what_is_said(
    opened: Callable[..., Any], address: str, clip: dict[str, Any]
) -> None:
    cues = httpx.get(f"{address}/api/v1/media/{clip['media_id']}/transcript").json()["cues"]
    word = next(word for cue in cues for word in cue["words"] if word["text"].lower().strip(".,") == "camera")
    explorer = opened().search("camera")
    moments = httpx.get(f"{address}/api/v1/search", params={"q": "camera"}).json()["items"]
    assert ("said", word["start_s"]) in {(moment["level"], moment["start_s"]) for moment in moments}
    explorer.goto(f"/clips/{clip['media_id']}?t={word['start_s']}")
    explorer.page.wait_for_selector(".lane[data-track=said] span")
    explorer.page.wait_for_selector(".subtitles:not([hidden])")
    explorer.press("t")
    tracks = "[...document.querySelector('video').textTracks]"
    explorer.wait(f"() => {tracks}.some((one) => one.mode === 'showing' && one.cues?.length)")
    assert explorer.page.get_attribute(".subtitles", "aria-pressed") == "true"
    explorer.check()


def test_a_transcript_that_there_is_not_is_not_found(web: Any) -> None:
    [still] = web.get("/api/v1/media", params={"kind": "image", "limit": 1}).json()["items"]
    problem = web.get(f"/api/v1/media/{still['media_id']}/transcript")
    assert problem.status_code == 404 and "no transcript" in problem.json()["detail"]

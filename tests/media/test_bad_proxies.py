"""The pass over files that lied to the probe: a proxy or a reason, and nothing else is opened."""

import os
import socket

import polars as pl
import pytest

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.frames import evenly_spread
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.probe import probe_file
from thatdam_pipelines.media.proxy import Made, Pass, make_proxy
from thatdam_pipelines.samples.bad_files import write_bad_files
from thatdam_pipelines.settings import Settings

Outcome = Made | MediaError


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What became of each file of the corpus that a probe lets pass."""
    top = tmp_path_factory.mktemp("bad")
    # Whoever opens this one waits for ever, and is ended with a reason that says so.
    trap = top / "trap"
    os.mkfifo(trap)
    found: dict[str, Outcome] = {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        corpus = write_bad_files(top / "corpus", trap, address)
        for number, bad in enumerate(corpus):
            folder = top / str(number)
            folder.mkdir()
            try:
                probe = probe_file(bad.path, bad.path.name)
            except MediaError:
                continue
            original = Original.of(probe.row(), bad.path.name, bad.path.stat().st_size)
            try:
                run = Pass(Settings(home=top), folder, threads=1, timeout_s=60)
                found[bad.path.name] = make_proxy(bad.path, original, run)
                if found[bad.path.name].kind == "video":
                    frames = evenly_spread(bad.path, duration_s=original.duration_s, count=3, short_edge=32)
                    assert 1 <= len(frames) <= 3
                    measured = pl.read_parquet(folder / "measures.parquet").height
                    assert measured == found[bad.path.name].frames
            except MediaError as error:
                found[bad.path.name] = error
        with pytest.raises(BlockingIOError):
            server.accept()
    return found


def test_each_file_gives_a_proxy_or_a_reason_within_its_time(outcomes: dict[str, Outcome]) -> None:
    assert len(outcomes) > 50
    reasons = {name: error.cause for name, error in outcomes.items() if isinstance(error, MediaError)}
    assert not [name for name, cause in reasons.items() if "longer than" in cause or "crashed" in cause]
    assert all(cause.strip() and len(cause) < 300 for cause in reasons.values())


@pytest.mark.parametrize("name", ["ten-hours.mp4", "ten-hours.mkv", "huge.mp4", "huge.avi", "clip.jpg", "linked.mkv"])
def test_a_lie_in_a_header_does_not_cost_a_good_picture(outcomes: dict[str, Outcome], name: str) -> None:
    made = outcomes[name]
    assert isinstance(made, Made)
    assert (made.frames, made.width, made.height) == (50, 160, 90)
    assert made.duration_s == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", ["cut-faststart-0.3.mp4", "cut-0.5.mkv", "cut-0.5.ts", "cut-0.5.avi"])
def test_a_cut_off_clip_gives_what_is_left_and_says_so(outcomes: dict[str, Outcome], name: str) -> None:
    made = outcomes[name]
    assert isinstance(made, Made)
    assert 5 < (made.frames or 0) < 40
    assert any("damaged" in warning for warning in made.warnings)


@pytest.mark.parametrize("name", ["no-samples.mp4", "no-channels.wav"])
def test_what_holds_nothing_that_decodes_is_refused(outcomes: dict[str, Outcome], name: str) -> None:
    assert isinstance(outcomes[name], MediaError)


def test_sound_in_a_film_container_is_sound(outcomes: dict[str, Outcome]) -> None:
    made = outcomes["sound-only.mov"]
    assert isinstance(made, Made) and made.proxy_path == "proxy.m4a"

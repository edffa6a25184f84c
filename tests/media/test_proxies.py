"""The proxies of a batch: made once, found again, and never half of one."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROXIES, PROXIES_FAILURES
from thatdam_pipelines.library.stage import StageReport
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch, proxy_recipe
from thatdam_pipelines.settings import IngestMode, Settings

Clip = Callable[[str], Path]


def write_card(folder: Path, clip: Clip) -> Path:
    """A clip, a sound and a still."""
    folder.mkdir()
    for name in ("sound.mp4", "sound.mp3"):
        (folder / name).write_bytes(clip(name).read_bytes())
    Image.new("RGB", (640, 480), "orange").save(folder / "still.jpg")
    return folder


@pytest.fixture
def card(tmp_path: Path, clip: Clip) -> Path:
    return write_card(tmp_path / "card", clip)


@dataclass(frozen=True)
class Finished:
    settings: Settings
    batch_id: str
    report: StageReport


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, clip: Clip) -> Finished:
    """A card whose proxies are made."""
    folder = tmp_path_factory.mktemp("finished")
    settings = Settings(home=folder / "home", workers=2, disk_reserve_bytes=0)
    with Library(settings) as library:
        batch_id = probed(library, write_card(folder / "card", clip))
        return Finished(settings, batch_id, proxy_batch(library, batch_id))


def probed(library: Library, folder: Path, mode: IngestMode = "copy") -> str:
    [batch_id] = claim_paths(library, [folder], mode)
    ingest_batch(library, batch_id)
    assert probe_batch(library, batch_id).failures == []
    return batch_id


def rows(library: Library, batch_id: str) -> dict[str, dict[str, object]]:
    return {str(row["kind"]): row for row in library.tables.read(PROXIES, batch_id).iter_rows(named=True)}


def test_every_medium_of_a_batch_gets_a_row_and_what_it_names(finished: Finished) -> None:
    report, settings = finished.report, finished.settings
    assert (report.total, report.computed, report.failures) == (3, 3, [])
    with Library(settings) as library:
        made = rows(library, finished.batch_id)
        assert set(made) == {"video", "audio", "image"}
        for row in made.values():
            paths = [str(value) for name, value in row.items() if name.endswith("_path") and value is not None]
            assert len(paths) == {"video": 6, "audio": 3, "image": 2}[str(row["kind"])]
            assert all((library.store.size(path) or 0) > 0 for path in paths)
            folder = f"derived/{str(row['media_id'])[:2]}/{row['media_id']}/{proxy_recipe(settings).id}/"
            assert all(path.startswith(folder) for path in paths)
    assert report.facts["hours"] == pytest.approx(4 / 3600, rel=0.05)
    assert report.facts["bytes"] == sum(int(str(row["size_bytes"])) for row in made.values())
    assert report.facts["realtime"] > 0 and len(report.facts["posters"]) == 3
    assert not list(settings.work_dir.glob("*"))


def test_a_second_run_makes_nothing(finished: Finished) -> None:
    with Library(finished.settings) as library:
        before = library.tables.read(PROXIES, finished.batch_id)
        report = proxy_batch(library, finished.batch_id)
        assert (report.computed, report.reused) == (0, 3)
        assert library.tables.read(PROXIES, finished.batch_id).equals(before)


def test_folders_that_a_lost_table_named_are_used_again(finished: Finished, tmp_path: Path) -> None:
    # With no ffmpeg to be had, whatever comes now was there before.
    with Library(finished.settings.model_copy(update={"ffmpeg": str(tmp_path / "none")})) as library:
        before = library.tables.read(PROXIES, finished.batch_id)
        library.tables.path(PROXIES, finished.batch_id).unlink()
        assert proxy_batch(library, finished.batch_id).computed == 3
        assert library.tables.read(PROXIES, finished.batch_id).equals(before)


def test_a_file_that_does_not_decode_costs_only_itself(library: Library, card: Path) -> None:
    half = (card / "still.jpg").read_bytes()
    (card / "half.jpg").write_bytes(half[: len(half) * 2 // 3])
    batch_id = probed(library, card)
    report = proxy_batch(library, batch_id)
    assert len(rows(library, batch_id)) == 3
    [failure] = report.failures
    assert failure["path"].endswith("half.jpg") and "cannot be read" in failure["reason"]
    assert proxy_batch(library, batch_id).skipped == 1
    assert proxy_batch(library, batch_id, retry=True).computed == 1


def test_an_original_that_is_away_costs_only_itself(library: Library, card: Path) -> None:
    batch_id = probed(library, card, "reference")
    (card / "sound.mp3").unlink()
    report = proxy_batch(library, batch_id)
    assert set(rows(library, batch_id)) == {"video", "image"}
    assert [failure["path"].endswith("sound.mp3") for failure in report.failures] == [True]


def test_without_ffmpeg_the_run_fails_and_no_file_is_blamed(settings: Settings, card: Path, tmp_path: Path) -> None:
    with Library(settings) as library:
        batch_id = probed(library, card)
    with Library(settings.model_copy(update={"ffmpeg": str(tmp_path / "none")})) as library:
        with pytest.raises(SettingsError):
            proxy_batch(library, batch_id)
        assert library.tables.read(PROXIES_FAILURES, batch_id).is_empty()


def test_a_pass_over_its_time_is_ended_with_a_reason(settings: Settings, clip: Clip, tmp_path: Path) -> None:
    slow = tmp_path / "slow-ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "clip.mp4").write_bytes(clip("plain.mp4").read_bytes())
    with Library(settings) as library:
        batch_id = probed(library, tmp_path / "card")
    hasty = {"ffmpeg": str(slow), "proxy_timeout_min_s": 0.1, "proxy_timeout_factor": 0.1}
    with Library(settings.model_copy(update=hasty)) as library:
        [failure] = proxy_batch(library, batch_id).failures
    assert "longer than" in failure["reason"]


def test_a_killed_run_leaves_nothing_and_the_next_ends_as_if_undisturbed(
    settings: Settings, card: Path, clip: Clip
) -> None:
    for name in ("hd.mp4", "vfr.mkv", "colors.mp4"):
        (card / name).write_bytes(clip(name).read_bytes())
    with Library(settings) as library:
        batch_id = probed(library, card)
        program = textwrap.dedent(
            f"""
            from thatdam_pipelines.library.home import Library
            from thatdam_pipelines.media.proxies import proxy_batch
            from thatdam_pipelines.settings import Settings
            if __name__ == "__main__":
                with Library(Settings.model_validate_json({settings.model_dump_json()!r})) as library:
                    proxy_batch(library, {batch_id!r})
            """
        )
        script = settings.home / "run.py"
        script.write_text(program)
        derived = Path(library.store.url("derived"))
        run = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
        while not derived.exists():
            assert run.poll() is None
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        published = {path.parent for path in derived.rglob("proxy.*")}
        assert all((folder / "facts.json").exists() for folder in published)
        report = proxy_batch(library, batch_id)
        made = library.tables.read(PROXIES, batch_id)
        assert (report.failures, made.height) == ([], 6)
        folders = {path.parent for path in derived.rglob("*") if path.is_file()}
        assert len(folders) == 6
        assert not list(settings.work_dir.glob("*"))
        proxies = made.filter(pl.col("kind") == "video")
        assert sorted(proxies["frames"].to_list()) == [45, 60, 74, 90]


@pytest.fixture
def bucket_settings(settings: Settings) -> Iterator[Settings]:
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {"s3_endpoint": f"http://{host}:{port}", "s3_key": "key", "s3_secret": "secret"}
    s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=access["s3_endpoint"]).mkdir("proxies-bucket")
    yield settings.model_copy(update=access | {"media": "s3://proxies-bucket/library"})
    server.stop()


def test_with_originals_in_s3_proxies_go_there_too(bucket_settings: Settings, card: Path) -> None:
    with Library(bucket_settings) as library:
        batch_id = probed(library, card)
        assert proxy_batch(library, batch_id).failures == []
        row = rows(library, batch_id)["video"]
        with library.store.local(str(row["proxy_path"])) as proxy:
            assert proxy.read_bytes()[4:8] == b"ftyp"

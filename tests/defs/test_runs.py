"""Runs of batches in this process, undisturbed, killed, and beside others."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from thatdam_pipelines.embed import embedder as embedders
from thatdam_pipelines.embed.open_clip_embedder import OpenClipEmbedder
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L2, TABLES
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import Settings, project_file

Clip = Callable[[Path, float], Path]


@pytest.fixture
def card(tmp_path: Path, write_clip: Clip) -> Path:
    write_clip(tmp_path / "card" / "a.mp4", 2.0)
    write_clip(tmp_path / "card" / "b.mp4", 3.0)
    return tmp_path / "card"


@pytest.fixture
def home(settings: Settings, prepared_instance: Path) -> Settings:
    shutil.copytree(prepared_instance, settings.dagster_dir)
    return settings


def claim(settings: Settings, card: Path) -> list[str]:
    with Library(settings) as library:
        return claim_paths(library, [card], "copy")


def batch_state(settings: Settings, batch_id: str) -> str:
    with closing(Ledger(settings.database_url)) as ledger:
        batch = ledger.batch(batch_id)
    assert batch is not None
    return batch.state


def test_a_batch_goes_all_the_way_with_the_weights_loaded_once(
    home: Settings, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = project_file("thatdam_pipelines") / "samples" / "tiny"
    tiny = home.model_copy(
        update={
            "embedder": f"open_clip:thatdam-tiny@{samples / 'thatdam-tiny.safetensors'}",
            "open_clip_config": samples / "thatdam-tiny.json",
        }
    )
    embedders._open.cache_clear()
    loads = []
    real = OpenClipEmbedder._load_now

    def counted(self: OpenClipEmbedder) -> object:
        loads.append(self.name)
        return real(self)

    monkeypatch.setattr(OpenClipEmbedder, "_load_now", counted)
    told: list[tuple[str, int, int]] = []
    (batch,) = claim(tiny, card)

    report = run_batches(tiny, [batch], understand=True, on_progress=lambda *said: told.append(said))

    assert report.success and report.failed == [] and len(report.run_ids) == 3
    assert loads == [tiny.embedder]
    with Library(tiny) as library:
        spaces = {
            *library.tables.read(EMBEDDINGS_L0, batch)["space"],
            *library.tables.read(EMBEDDINGS_L2, batch)["space"],
        }
        assert len(spaces) == 1
    assert ("ingesting 1/1: probes", 2, 2) in told and ("understanding 1/1: proxies", 2, 2) in told
    assert batch_state(tiny, batch) == "done"
    with open_instance(tiny) as instance:
        assert {run.job_name for run in instance.get_runs()} == {"ingest", "understand", "publish_catalog"}
        assert instance.get_dynamic_partitions("ingest_batch") == [batch]


def test_a_killed_command_is_made_good_by_the_next(
    home: Settings, card: Path, tmp_path: Path, environment: Callable[[Path], dict[str, str]]
) -> None:
    (batch,) = claim(home, card)
    env = {**os.environ, **environment(home.home)}
    command = [sys.executable, "-c", RUN, batch]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        while not any((home.tables_dir / "probes").glob("*.parquet")):
            assert process.poll() is None, process.stderr.read().decode()[-2000:] if process.stderr else ""
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert batch_state(home, batch) == "running"

    assert run_batches(home, [batch], understand=True).success

    assert batch_state(home, batch) == "done"
    with open_instance(home) as instance:
        statuses = sorted(run.status.value for run in instance.get_runs())
        assert statuses == ["FAILURE", "SUCCESS", "SUCCESS", "SUCCESS"]
        for pool in ("ffmpeg", "model", "vector_writer"):
            assert not instance.event_log_storage.get_concurrency_info(pool).active_run_ids
    with Library(home) as library:
        rows = {name: library.tables.read(table, batch).height for name, table in TABLES.items()}
    assert rows["media"] == rows["locations"] == rows["probes"] == rows["proxies"] == rows["embeddings_l0"] == 2


def test_a_run_that_fails_says_why_and_leaves_the_batch_failed(home: Settings, card: Path) -> None:
    wrong = home.model_copy(update={"embedder": "no such thing"})
    (batch,) = claim(wrong, card)
    report = run_batches(wrong, [batch], understand=True)
    assert not report.success
    assert "there is no such embedder" in report.failed[0]
    assert batch_state(wrong, batch) == "failed"
    with Library(wrong) as library:
        assert library.tables.read(TABLES["probes"], batch).height == 2
    assert run_batches(home, [batch], understand=False).success
    assert batch_state(home, batch) == "done"


@pytest.mark.parametrize(
    ("job", "expected"),
    [("ingest", dg.DagsterRunStatus.CANCELED), ("understand", dg.DagsterRunStatus.QUEUED)],
)
def test_a_queued_run_of_the_same_job_is_cancelled_not_doubled_and_a_heavy_one_still_comes(
    home: Settings, tmp_path: Path, job: str, expected: dg.DagsterRunStatus
) -> None:
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

    from thatdam_pipelines.definitions import defs

    card = tmp_path / "notes"
    card.mkdir()
    (card / "notes.mp4").write_text("no clip, so that nothing is slow")
    (batch,) = claim(home, card)
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("thatdam"), "__repository__")
    with open_instance(home) as instance:
        queued = instance.create_run_for_job(
            defs().resolve_job_def(job),
            tags={"dagster/partition": batch},
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=RemoteJobOrigin(origin, job),
        )
    assert run_batches(home, [batch], understand=False).success
    with open_instance(home) as instance:
        run = instance.get_run_by_id(queued.run_id)
        assert run is not None and run.status == expected


RUN = """
import sys
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import get_settings

if __name__ == "__main__":
    run_batches(get_settings(), sys.argv[1:], understand=True)
"""

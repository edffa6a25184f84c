"""Batch number 1,000 against batch number 10: what one more arrival costs in a library that has grown.

A batch of a few clips goes the whole way: sensor, ingest run, heavy run, catalogue, and a tick of the automation. The
batches before it are copies of a real one under other names: tables, ledger, indexes, partitions, runs and event log.

Run: python benchmarks/batches.py [--small 10] [--large 1000]
"""

import argparse
import os
import tempfile
import uuid
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from _clips import write_clips
from _measure import compare

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.ingest.jobs import HEAVY, LIGHT
from thatdam_pipelines.defs.ingest.sensors import incoming_sensor
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.arrivals import Sighting
from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.compaction import compact
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import TABLES
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.library.vectors import VectorIndex
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import Settings, get_settings

CLIPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10)
    parser.add_argument("--large", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = iter(write_clips(Path(folder) / "clips", 2 * CLIPS * (options.repeats + 1), 1, "320x180"))
        platforms = [Platform(Path(folder) / str(size), clips, size - 1) for size in (options.small, options.large)]
        small, large = platforms
        medians = compare(
            "one more batch",
            {f"batch {options.small}": small.one_more, f"batch {options.large}": large.one_more},
            options.repeats,
        )
        first, last = medians.values()
        print(f"batch {options.large} costs {last.cpu_s / first.cpu_s:.2f} times the CPU of batch {options.small}")


class Platform:
    """A home with so many batches in it, and what comes next."""

    def __init__(self, home: Path, clips: Any, batches: int) -> None:
        self.home = home
        self.clips = clips
        self.cursor: Any = None
        self.tick_cursor: str | None = None
        seed(self.settings(), self.one_more(), batches - 1)
        self.automation()

    def settings(self) -> Settings:
        os.environ |= {
            "THATDAM_HOME": str(self.home),
            "THATDAM_EMBEDDER": "descriptor",
            "THATDAM_SETTLE_SECONDS": "0",
            "THATDAM_BATCH_WAIT_SECONDS": "0",
        }
        get_settings.cache_clear()
        return get_settings()

    def one_more(self) -> str:
        """Drop clips and take them the whole way; gives the batch."""
        settings = self.settings()
        settings.incoming_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(CLIPS):
            clip = next(self.clips)
            clip.rename(settings.incoming_dir / clip.name)
        batch_id = self.arrival(settings)
        report = run_batches(settings, [batch_id], understand=True)
        if not report.success:
            raise SystemExit(f"{report.failed}")
        self.automation()
        return batch_id

    def arrival(self, settings: Settings) -> str:
        with open_instance(settings) as instance:
            while True:
                tick = incoming_sensor(dg.build_sensor_context(instance=instance, cursor=self.tick_cursor))
                assert isinstance(tick, dg.SensorResult)
                self.tick_cursor = tick.cursor
                if tick.run_requests:
                    return str(tick.run_requests[0].partition_key)

    def automation(self) -> None:
        """A tick of the automation sensor; like the daemon it reads the partitions once."""
        with open_instance(self.settings()) as instance:
            instance.get_dynamic_partitions = cache(instance.get_dynamic_partitions)  # type: ignore[method-assign]
            everything = dg.AssetSelection.all()
            result = dg.evaluate_automation_conditions(defs(), instance, everything, cursor=self.cursor)
            self.cursor = result.cursor


def seed(settings: Settings, model: str, count: int) -> None:
    """Add ``count`` batches like ``model``, as if they had been ingested and understood before."""
    with Library(settings) as library, open_instance(settings) as instance:
        frames = {table: library.tables.read(table, model) for table in TABLES.values()}
        with VectorIndex(settings) as vectors, TextIndex(settings.text_path) as text:
            for number in range(count):
                batch_id = claimed(library.ledger, number)
                for table, frame in frames.items():
                    library.tables.write(table, batch_id, renamed(frame, model, batch_id, number))
                vectors.index_batch(library, batch_id)
                text.index_batch(library, batch_id)
                record(instance, batch_id)
        # They came long ago: what a schedule merges has been merged.
        compact(library, quiet_s=0)
        publish(library)


def claimed(ledger: Ledger, number: int) -> str:
    file = Sighting(f"seeded {number}.mov", 1, 1)
    batch_id = ledger.create_batch("/seeded", "reference", [file], datetime.now(UTC), settled=False)
    assert batch_id is not None
    ledger.start_batch(batch_id, "")
    ledger.finish_batch(batch_id, "done")
    return batch_id


def renamed(frame: pl.DataFrame, model: str, batch_id: str, number: int) -> pl.DataFrame:
    """The rows under the name of another batch, their media under names of their own."""
    head = f"{number:08x}"
    ids = {
        name: pl.concat_str(pl.lit(head), pl.col(name).str.slice(len(head)))
        for name in ("media_id", "frame_id", "scene_id", "item_id")
        if name in frame.columns
    }
    return frame.with_columns(**ids, batch_id=pl.lit(batch_id))


def record(instance: dg.DagsterInstance, batch_id: str) -> None:
    """The partition, its two runs and its materializations."""
    instance.add_dynamic_partitions("ingest_batch", [batch_id])
    for job, assets in (("ingest", LIGHT), ("understand", HEAVY)):
        tags = {"dagster/partition": batch_id, "dagster/run_key": batch_id}
        run_id = str(uuid.uuid4())
        instance.run_storage.add_run(
            dg.DagsterRun(job_name=job, run_id=run_id, status=dg.DagsterRunStatus.SUCCESS, tags=tags)
        )
        for asset in assets:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(asset, partition=batch_id, tags={"dagster/data_version": batch_id})
            )


if __name__ == "__main__":
    main()

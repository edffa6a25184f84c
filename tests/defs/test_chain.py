"""The whole way of a drop: sensor, ingest run, automation, heavy run, catalogue, with real clips and no stand-ins."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.event_log.base import PartitionKeyFilter

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.ingest.jobs import HEAVY, LIGHT
from thatdam_pipelines.defs.ingest.outcomes import settle_batches
from thatdam_pipelines.defs.ingest.sensors import incoming_sensor
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.catalog import run_sql
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.settings import Settings, get_settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Platform:
    """The real definitions over one home, driven as the daemon would drive them."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.definitions = defs()
        self.cursor: Any = None
        self.batch = ""

    def ticks_until_a_run_is_asked_for(self) -> dg.RunRequest:
        for _ in range(5):
            result = incoming_sensor(dg.build_sensor_context(instance=self.instance))
            assert isinstance(result, dg.SensorResult)
            for request in result.run_requests or []:
                self.instance.add_dynamic_partitions("ingest_batch", [str(request.partition_key)])
                return request
        raise AssertionError(result.skip_reason)

    def automation_asks_for(self) -> set[str]:
        """Assets of the batch that an automation tick asks for."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.instance, "get_dynamic_partitions", cache(self.instance.get_dynamic_partitions))
            result = dg.evaluate_automation_conditions(
                self.definitions,
                self.instance,
                asset_selection=dg.AssetSelection.all() - dg.AssetSelection.assets("catalog"),
                cursor=self.cursor,
            )
            self.cursor = result.cursor
            keys = self.definitions.resolve_asset_graph().get_all_asset_keys()
            return {key.to_user_string() for key in keys if self.batch in result.get_requested_partitions(key)}

    def run(
        self, job: str, assets: Sequence[str] | None = None, tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=self.batch,
            asset_selection=[dg.AssetKey(asset) for asset in assets] if assets else None,
            run_config=QUIET,
            tags=tags,
            raise_on_error=False,
        )

    def metadata(self, result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
        (event,) = result.asset_materializations_for_node(asset)
        return {name: value.value for name, value in event.metadata.items()}

    def check(self, asset: str, name: str) -> AssetCheckExecutionRecord:
        (record,) = self.instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(asset), name), limit=1, partition_filter=PartitionKeyFilter(key=self.batch)
        )
        return record


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory,
    prepared_instance: Path,
    write_clip: Callable[[Path, float], Path],
    environment: Callable[[Path], dict[str, str]],
) -> Iterator[Platform]:
    """Two clips, and a file that is no clip, dropped and gone the whole way."""
    home = tmp_path_factory.mktemp("chain") / "home"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(home).items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        settings = get_settings()
        shutil.copytree(prepared_instance, settings.dagster_dir)
        write_clip(settings.incoming_dir / "day 1" / "short.mp4", 2.0)
        write_clip(settings.incoming_dir / "day 1" / "long.mp4", 3.0)
        (settings.incoming_dir / "day 1" / "broken.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(100))
        with open_instance(settings, capture_output=False) as instance:
            yield Platform(settings, instance)
        get_settings.cache_clear()


@pytest.fixture(scope="module")
def ingested(platform: Platform) -> dg.ExecuteInProcessResult:
    assert platform.automation_asks_for() == set()
    request = platform.ticks_until_a_run_is_asked_for()
    platform.batch = str(request.partition_key)
    return platform.run("ingest", tags=dict(request.tags))


@pytest.fixture(scope="module")
def asked(platform: Platform, ingested: dg.ExecuteInProcessResult) -> set[str]:
    return platform.automation_asks_for()


@pytest.fixture(scope="module")
def understood(platform: Platform, asked: set[str]) -> dg.ExecuteInProcessResult:
    return platform.run("__ASSET_JOB", sorted(asked))


def test_one_bad_file_does_not_fail_its_batch(platform: Platform, ingested: dg.ExecuteInProcessResult) -> None:
    assert ingested.success
    made = {
        event.asset_key.to_user_string() for event in ingested.get_asset_materialization_events() if event.asset_key
    }
    assert made == set(LIGHT)
    with closing(Ledger(platform.settings.database_url)) as ledger:
        settle_batches(ledger, platform.instance)
        batch = ledger.batch(platform.batch)
    assert batch is not None and (batch.state, batch.files) == ("done", 3)


def test_the_check_names_the_bad_file_and_why(platform: Platform, ingested: dg.ExecuteInProcessResult) -> None:
    (found,) = [each for each in ingested.get_asset_check_evaluations() if each.asset_key == dg.AssetKey("probes")]
    assert not found.passed and found.severity == dg.AssetCheckSeverity.WARN
    assert found.metadata["failed"].value == 1
    table = str(found.metadata["failed files"].value)
    assert "broken.mp4" in table and "short.mp4" not in table


def test_every_check_but_that_one_passes(
    ingested: dg.ExecuteInProcessResult, understood: dg.ExecuteInProcessResult
) -> None:
    evaluations = [*ingested.get_asset_check_evaluations(), *understood.get_asset_check_evaluations()]
    failed = {f"{each.asset_key.to_user_string()}.{each.check_name}" for each in evaluations if not each.passed}
    assert failed == {"probes.every_file_done"}
    assert len(evaluations) == 26


def test_one_heavy_run_holds_all_heavy_assets_and_the_indexes(asked: set[str]) -> None:
    assert asked == set(HEAVY)


def test_the_heavy_run_makes_frames_scenes_and_their_vectors_findable(
    platform: Platform, understood: dg.ExecuteInProcessResult
) -> None:
    assert understood.success
    told = platform.metadata(understood, "vector_index")
    assert told["expected"] == told["present"] > 4
    assert platform.metadata(understood, "embeddings_l1")["dagster/partition_row_count"] >= 4
    assert platform.automation_asks_for() == set()


def test_posters_are_shown_as_links_to_loopback_short_enough_to_be_inline(
    platform: Platform, understood: dg.ExecuteInProcessResult
) -> None:
    posters = platform.metadata(understood, "proxies")["posters"]
    assert posters.count("![") == 2 and "![short.mp4](http://127.0.0.1:" in posters
    assert len(posters) < 1000


def test_the_figures_of_a_stage_are_told(platform: Platform, ingested: dg.ExecuteInProcessResult) -> None:
    told = platform.metadata(ingested, "probes")
    assert (told["files"], told["computed"], told["reused"], told["failed"]) == (3, 3, 0, 1)
    assert told["hours"] == pytest.approx(5 / 3600, rel=0.05)
    assert told["files per second"] > 0 and told["bytes"] > 0 and told["recipe"].startswith("probe-")
    assert told["run"] == ingested.run_id


def test_the_catalogue_answers_over_what_was_made(platform: Platform, understood: dg.ExecuteInProcessResult) -> None:
    assert (
        platform.definitions.resolve_job_def("publish_catalog")
        .execute_in_process(instance=platform.instance, run_config=QUIET)
        .success
    )
    counted = run_sql(platform.settings, "SELECT count(*) AS clips FROM proxies")
    assert counted["clips"].to_list() == [2]


def test_a_rerun_with_nothing_changed_does_no_media_work_and_says_so(
    platform: Platform, understood: dg.ExecuteInProcessResult
) -> None:
    def tables() -> dict[str, int]:
        files = platform.settings.tables_dir.rglob(f"{platform.batch}.parquet")
        return {str(path): path.stat().st_mtime_ns for path in files}

    before = tables()
    again = [platform.run("ingest"), platform.run("understand")]
    assert all(result.success for result in again)
    assert tables() == before
    for result, assets in zip(again, (LIGHT, HEAVY), strict=True):
        for asset in assets:
            told = platform.metadata(result, asset)
            if asset.endswith("_index"):
                assert told["added"] == told["removed"] == 0
            else:
                assert told["computed"] == 0, asset
                assert told["summary"].startswith("nothing to do")
    assert platform.automation_asks_for() == set()


def test_a_bad_file_is_tried_again_only_when_asked(platform: Platform, understood: dg.ExecuteInProcessResult) -> None:
    without = platform.metadata(platform.run("__ASSET_JOB", ["probes"]), "probes")
    by_tag = platform.metadata(platform.run("__ASSET_JOB", ["probes"], tags={"thatdam/retry": "true"}), "probes")
    assert (without["computed"], by_tag["computed"]) == (0, 1)
    assert "failed by it before" in without["summary"]


def test_an_original_that_is_gone_is_shown_by_its_check(
    platform: Platform, understood: dg.ExecuteInProcessResult
) -> None:
    with Library(platform.settings) as library:
        (kept, *_) = sorted(Path(library.settings.media_url).rglob("short.mp4"))
    hidden = kept.with_suffix(".hidden")
    kept.rename(hidden)
    try:
        result = platform.run("__ASSET_JOB", ["raw_media"])
    finally:
        hidden.rename(kept)
    found = {each.check_name: each for each in result.get_asset_check_evaluations()}["originals_verified"]
    assert not found.passed and "short.mp4" in str(found.metadata["what is wrong"].value)


def test_maintenance_runs_and_every_partition_stands_as_before(
    platform: Platform, understood: dg.ExecuteInProcessResult
) -> None:
    def standing() -> dict[str, set[str]]:
        return {asset: platform.instance.get_materialized_partitions(dg.AssetKey(asset)) for asset in {*LIGHT, *HEAVY}}

    before = standing()
    result = platform.definitions.resolve_job_def("maintenance").execute_in_process(
        instance=platform.instance, run_config=QUIET
    )
    assert result.success
    assert standing() == before and all(before.values())

"""What starts by itself, asked of the real definitions with made-up materializations."""

from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.automation import HEAVY_TAGS, LIGHT_TAGS
from thatdam_pipelines.defs.ingest.jobs import HEAVY, LIGHT

CATALOG = dg.AssetSelection.assets("catalog")


class Automation:
    """Ticks of the automation sensors over one instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.definitions = defs()
        self.cursors: dict[str, object] = {}
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def add(self, batch: str) -> None:
        self.instance.add_dynamic_partitions("ingest_batch", [batch])

    def made(self, assets: tuple[str, ...], batch: str, version: str) -> None:
        """The assets of a batch are materialized, with data of this version."""
        for asset in assets:
            event = dg.AssetMaterialization(asset, partition=batch, tags={"dagster/data_version": version})
            self.instance.report_runless_asset_event(event)

    def tick(self, seconds: float = 30, *, catalog: bool = False) -> dict[str, set[str | None]]:
        """Asset partitions that a tick asks for, so many seconds after the last one."""
        self.time += timedelta(seconds=seconds)
        selection = CATALOG if catalog else dg.AssetSelection.all() - CATALOG
        # The daemon reads the partitions once a tick, the tester hundreds of times.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.instance, "get_dynamic_partitions", cache(self.instance.get_dynamic_partitions))
            result = dg.evaluate_automation_conditions(
                self.definitions,
                self.instance,
                asset_selection=selection,
                evaluation_time=self.time,
                cursor=self.cursors.get(str(catalog)),  # type: ignore[arg-type]
            )
        self.cursors[str(catalog)] = result.cursor
        asked = {
            key.to_user_string(): set(result.get_requested_partitions(key))
            for key in self.definitions.resolve_asset_graph().get_all_asset_keys()
        }
        return {name: partitions for name, partitions in asked.items() if partitions}


@pytest.fixture
def automation(instance: dg.DagsterInstance) -> Automation:
    return Automation(instance)


@pytest.fixture
def ingested(automation: Automation) -> Automation:
    """Watched from the beginning, then one batch ingested and asked for."""
    assert automation.tick() == {}
    automation.add("one")
    automation.made(LIGHT, "one", "1")
    assert automation.tick() == {asset: {"one"} for asset in HEAVY}
    return automation


def test_an_ingested_batch_asks_once_for_everything_heavy_and_the_indexes(ingested: Automation) -> None:
    assert ingested.tick() == {}
    ingested.made(HEAVY, "one", "1")
    assert ingested.tick() == {}
    assert ingested.tick() == {}


def test_nothing_heavy_is_asked_for_before_the_ingest_run_has_made_the_indexes(automation: Automation) -> None:
    automation.tick()
    automation.add("one")
    run = automation.instance.create_run_for_job(
        automation.definitions.resolve_job_def("ingest"),
        tags={"dagster/partition": "one"},
        status=dg.DagsterRunStatus.STARTED,
    )
    automation.made(("raw_media", "capture_sessions", "probes", "embeddings_l0", "vector_index"), "one", "1")
    assert automation.tick() == {}
    automation.made(("text_index",), "one", "1")
    automation.instance.report_dagster_event(
        DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "ingest", message="done"), run.run_id
    )
    assert automation.tick() == {asset: {"one"} for asset in HEAVY}


def test_an_arrival_alone_asks_for_nothing(automation: Automation) -> None:
    automation.tick()
    automation.add("one")
    assert automation.tick() == {}
    automation.made(("raw_media",), "one", "1")
    assert automation.tick() == {}


def test_an_ingest_again_with_nothing_changed_asks_for_nothing(ingested: Automation) -> None:
    ingested.made(HEAVY, "one", "1")
    ingested.tick()
    ingested.made(LIGHT, "one", "1")
    assert ingested.tick() == {}


def test_an_ingest_again_with_a_file_mended_asks_again(ingested: Automation) -> None:
    ingested.made(HEAVY, "one", "1")
    ingested.tick()
    ingested.made(LIGHT, "one", "2")
    assert ingested.tick() == {asset: {"one"} for asset in HEAVY}


def test_a_heavy_run_that_failed_is_not_asked_for_again(ingested: Automation) -> None:
    for _ in range(3):
        assert ingested.tick(3600) == {}


def test_a_batch_ingested_before_anything_watched_is_asked_for(automation: Automation) -> None:
    automation.add("one")
    automation.made(LIGHT, "one", "1")
    assert automation.tick() == {asset: {"one"} for asset in HEAVY}
    assert automation.tick() == {}


def test_each_batch_is_asked_for_alone(ingested: Automation) -> None:
    ingested.add("two")
    ingested.made(LIGHT, "two", "1")
    assert ingested.tick() == {asset: {"two"} for asset in HEAVY}


def test_only_what_is_downstream_of_a_change_is_asked_for(ingested: Automation) -> None:
    ingested.made(HEAVY, "one", "1")
    ingested.tick()
    ingested.made(("embeddings_l2",), "one", "2")
    assert set(ingested.tick()) == {"tags", "vector_index", "text_index"}


def test_the_catalogue_is_asked_for_after_a_change_and_at_most_once_a_minute(automation: Automation) -> None:
    automation.tick(catalog=True)
    asked = 0
    for number in range(12):
        automation.add(f"batch{number}")
        automation.made(("raw_media", "probes"), f"batch{number}", "1")
        asked += bool(automation.tick(15, catalog=True))
    assert asked == 3
    assert [bool(automation.tick(60, catalog=True)) for _ in range(3)] == [True, False, False]


def test_the_sensors_run_by_default_and_mark_their_runs() -> None:
    sensors = {sensor.name: sensor for sensor in defs().sensors or []}
    automatic = sensors["understand_automation"]
    assert isinstance(automatic, dg.AutomationConditionSensorDefinition)
    assert automatic.run_tags == HEAVY_TAGS
    assert all(sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())  # type: ignore[union-attr]
    assert int(HEAVY_TAGS["dagster/priority"]) < int(LIGHT_TAGS["dagster/priority"])

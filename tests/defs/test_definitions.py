"""What the platform consists of in Dagster's eyes, written down: a change here is a change people see."""

from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.library.schemas import TABLES

BATCH = "ingest_batch"

# name: (group, upstream, kinds, pool, checks, automation)
ASSETS: dict[str, tuple[str, set[str], set[str], str | None, set[str], str | None]] = {
    "raw_media": ("ingest", set(), {"file"}, None, {"originals_verified", "card_as_listed", "every_file_done"}, None),
    "capture_sessions": ("ingest", {"raw_media"}, {"parquet"}, None, {"every_second_there"}, None),
    "probes": ("media", {"raw_media"}, {"ffmpeg", "parquet"}, None, {"every_file_done"}, None),
    "embeddings_l0": (
        "embeddings",
        {"raw_media", "probes"},
        {"pytorch", "parquet"},
        "model",
        {"vectors_sound", "every_file_done"},
        None,
    ),
    "proxies": (
        "media",
        {"raw_media", "probes"},
        {"ffmpeg", "parquet"},
        "ffmpeg",
        {"proxy_durations", "every_file_done"},
        "after_new_data",
    ),
    "audio": (
        "media",
        {"probes", "proxies"},
        {"ffmpeg", "parquet"},
        "ffmpeg",
        {"sound_healthy", "every_file_done"},
        "after_new_data",
    ),
    "motion": (
        "media",
        {"proxies"},
        {"ffmpeg", "parquet"},
        "ffmpeg",
        {"motion_followed", "every_file_done"},
        "after_new_data",
    ),
    "transcripts": (
        "media",
        {"proxies", "audio"},
        {"onnx", "parquet"},
        "model",
        {"every_file_done"},
        "after_new_data",
    ),
    "sync": (
        "media",
        {"capture_sessions", "proxies"},
        {"parquet"},
        None,
        {"cameras_in_sync", "every_file_done"},
        "after_new_data",
    ),
    "embeddings_l1": (
        "embeddings",
        {"proxies"},
        {"pytorch", "parquet"},
        "model",
        {"vectors_sound", "every_file_done"},
        "after_new_data",
    ),
    "embeddings_l2": (
        "embeddings",
        {"proxies", "embeddings_l1"},
        {"pytorch", "parquet"},
        "model",
        {"vectors_sound", "every_file_done"},
        "after_new_data",
    ),
    "tags": (
        "embeddings",
        {"probes", "audio", "motion", "embeddings_l1", "embeddings_l2"},
        {"pytorch", "parquet"},
        "model",
        set(),
        "after_new_data",
    ),
    "fingerprints": (
        "embeddings",
        {"capture_sessions", "probes", "proxies"},
        {"parquet"},
        "ffmpeg",
        {"every_file_done"},
        "after_new_data",
    ),
    "embeddings_l3": ("embeddings", {"fingerprints"}, {"parquet"}, None, {"relations_sound"}, "after_new_data"),
    "rewraps": (
        "media",
        {"raw_media", "capture_sessions", "probes"},
        {"ffmpeg", "parquet"},
        "ffmpeg",
        {"every_file_done"},
        None,
    ),
    "vector_index": (
        "catalog",
        {"embeddings_l0", "embeddings_l1", "embeddings_l2"},
        {"chroma"},
        "vector_writer",
        {"index_complete"},
        "with_new_data",
    ),
    "text_index": (
        "catalog",
        {"raw_media", "probes", "tags", "transcripts"},
        {"sqlite"},
        None,
        {"index_complete"},
        "with_new_data",
    ),
    "catalog": (
        "catalog",
        {
            *{"raw_media", "capture_sessions", "probes", "embeddings_l0"},
            *{"proxies", "audio", "transcripts", "motion", "sync"},
            *{"embeddings_l1", "embeddings_l2", "tags", "rewraps"},
            *{"fingerprints", "embeddings_l3"},
        },
        {"duckdb"},
        None,
        set(),
        "at_most_once_a_minute",
    ),
    "backups": (
        "backup",
        {
            *{"raw_media", "capture_sessions", "probes", "embeddings_l0"},
            *{"proxies", "audio", "transcripts", "motion", "sync"},
            *{"embeddings_l1", "embeddings_l2", "tags", "rewraps"},
            *{"fingerprints", "embeddings_l3"},
        },
        {"file", "s3"},
        None,
        {"every_target_done", "enough_copies", "fresh"},
        None,
    ),
    "backup_audit": ("backup", {"backups"}, {"file", "s3"}, None, {"copies_sound", "not_overdue"}, None),
    "offloads": ("backup", set(), {"file"}, None, {"safe_to_format"}, None),
    "restore_drill": ("backup", {"backups"}, {"file", "s3"}, None, {"drill_passed"}, None),
}
OF_THE_WHOLE_LIBRARY = {"catalog", "backups", "backup_audit", "restore_drill", "offloads"}

# name: (assets or ops, weight)
JOBS = {
    "ingest": (
        {"raw_media", "capture_sessions", "probes", "embeddings_l0", "vector_index", "text_index"},
        "light",
    ),
    "understand": (
        {
            *{"proxies", "audio", "transcripts", "motion", "sync"},
            *{"embeddings_l1", "embeddings_l2", "tags"},
            *{"fingerprints", "embeddings_l3", "vector_index", "text_index"},
        },
        "heavy",
    ),
    "rewrap": ({"rewraps"}, "heavy"),
    "publish_catalog": ({"catalog"}, "catalog"),
    "backup": ({"backups"}, "backup"),
    "audit_backups": ({"backup_audit"}, "backup"),
    "offload_card": ({"offloads"}, "backup"),
    "drill_restore": ({"restore_drill"}, "backup"),
    "workflow": ({"workflow_steps", "workflow_step"}, "workflow"),
    "maintenance": ({"trim_log", "compact_tables"}, "maintenance"),
}

# name: seconds between ticks
SENSORS = {
    "incoming_sensor": 5,
    "capture_sensor": 5,
    "workflow_sensor": 10,
    "understand_automation": 15,
    "catalog_automation": 30,
}

SCHEDULES = {
    "maintenance_daily": ("maintenance", "30 3 * * *"),
    "backup_daily": ("backup", "0 2 * * *"),
    "audit_nightly": ("audit_backups", "0 4 * * *"),
    "drill_weekly": ("drill_restore", "0 6 * * 0"),
}


@pytest.fixture(scope="module")
def platform() -> dg.Definitions:
    return defs()


@pytest.fixture(scope="module")
def specs(platform: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in platform.resolve_all_asset_specs()}


def assets_def(platform: dg.Definitions, name: str) -> dg.AssetsDefinition:
    return platform.resolve_assets_def(AssetKey(name))


def test_the_assets_are_these(platform: dg.Definitions, specs: dict[str, dg.AssetSpec]) -> None:
    found = {}
    for name, spec in specs.items():
        asset = assets_def(platform, name)
        found[name] = (
            spec.group_name,
            {dep.asset_key.to_user_string() for dep in spec.deps},
            spec.kinds,
            asset.op.pool,
            {check.name for check in asset.check_specs},
            spec.automation_condition.get_label() if spec.automation_condition else None,
        )
    assert found == ASSETS


def test_the_jobs_are_these(platform: dg.Definitions) -> None:
    jobs = {job.name: job for job in platform.resolve_all_job_defs() if not job.name.startswith("__")}
    found = {name: ({node.name for node in job.nodes}, job.tags["weight"]) for name, job in jobs.items()}
    assert found == JOBS


def test_the_sensors_and_schedules_are_these_and_run_by_default(platform: dg.Definitions) -> None:
    repository = platform.get_repository_def()
    assert {each.name: each.minimum_interval_seconds for each in repository.sensor_defs} == SENSORS
    assert {each.name: (each.job_name, each.cron_schedule) for each in repository.schedule_defs} == SCHEDULES
    assert all(each.default_status == dg.DefaultSensorStatus.RUNNING for each in repository.sensor_defs)
    assert all(each.default_status == dg.DefaultScheduleStatus.RUNNING for each in repository.schedule_defs)


@pytest.mark.parametrize("name", ASSETS)
def test_every_asset_says_what_it_is_whose_it_is_and_by_which_code(
    platform: dg.Definitions, specs: dict[str, dg.AssetSpec], name: str
) -> None:
    spec = specs[name]
    assert spec.description and spec.owners and spec.code_version
    partitions = spec.partitions_def.name if isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition) else None
    assert partitions == (None if name in OF_THE_WHOLE_LIBRARY else BATCH)
    assert assets_def(platform, name).op.retry_policy is not None


def test_every_check_keeps_its_result_by_batch_and_says_what_it_looks_at(platform: dg.Definitions) -> None:
    for name in ASSETS.keys() - OF_THE_WHOLE_LIBRARY:
        for check in assets_def(platform, name).check_specs:
            assert check.description
            assert isinstance(check.partitions_def, dg.DynamicPartitionsDefinition)


def test_every_declared_table_has_its_columns_shown_by_its_owner(specs: dict[str, dg.AssetSpec]) -> None:
    shown: dict[str, list[str]] = {}
    for spec in specs.values():
        metadata: dict[str, Any] = dict(spec.metadata)
        if "dagster/column_schema" in metadata:
            columns = metadata["dagster/column_schema"].columns
            shown[metadata["dagster/table_name"]] = [column.name for column in columns]
            assert all(column.description for column in columns)
        for name, value in metadata.items():
            if name.startswith("table "):
                shown[name.removeprefix("table ")] = [column.name for column in value.schema.columns]
    declared = {name: table for name, table in TABLES.items() if not name.endswith("_failures")}
    assert shown == {name: [column.name for column in table.columns] for name, table in declared.items()}


def test_automation_and_jobs_run_all_steps_in_one_process(platform: dg.Definitions) -> None:
    for name in (*JOBS, "__ASSET_JOB"):
        assert platform.resolve_job_def(name).executor_def.name == "in_process"

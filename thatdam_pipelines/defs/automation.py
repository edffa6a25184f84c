"""What starts by itself: the heavy assets after an ingest, the catalogue after anything changed."""

from typing import Any

import dagster as dg
from dagster import AutomationCondition

HEAVY_TAGS = {"weight": "heavy", "dagster/priority": "-10"}
LIGHT_TAGS = {"weight": "light", "dagster/priority": "10"}
CATALOG_TAGS = {"weight": "catalog", "dagster/priority": "0"}
# A run whose process died begins anew: steps that ended are found ended.
WORKFLOW_TAGS = {"weight": "workflow", "dagster/priority": "0", "dagster/retry_strategy": "ALL_STEPS"}
BACKUP_TAGS = {"weight": "backup", "dagster/priority": "-5"}
MAINTENANCE_TAGS = {"weight": "maintenance", "dagster/priority": "-20"}


def after_new_data() -> AutomationCondition[Any]:
    """Once for each batch whose upstream data changed, with everything downstream of it in the same run.

    It goes by data version, so a rerun that changed no row starts nothing, and it asks once: a run that fails or is
    cancelled is left to people. A new recipe starts nothing either: what is stale is shown, and rerun by choice.
    On its very first evaluation it asks for what is missing, for batches ingested before anything watched.
    Nothing in it looks at every partition at every tick.
    """
    left_over = AutomationCondition.initial_evaluation() & AutomationCondition.missing()
    triggers = _upstream_changed() | _upstream_requested() | left_over
    return _when_upstream_is_whole(triggers.since(_requested_or_made())).with_label("after_new_data")


def with_new_data() -> AutomationCondition[Any]:
    """``after_new_data`` for an index, which the ingest job makes as well.

    That it was just made is no reason to leave it out of a heavy run, but a run that made it with its upstream is.
    """
    requested = _upstream_requested().since(AutomationCondition.newly_requested())
    changed = _upstream_changed().since(_requested_or_made())
    return _when_upstream_is_whole(requested | changed).with_label("with_new_data")


def _upstream_changed() -> AutomationCondition[Any]:
    # executed_with_root_target knows only the very last run of an asset, so the reset by newly_updated is needed too.
    changed = AutomationCondition.data_version_changed() & ~AutomationCondition.executed_with_root_target()
    return AutomationCondition.any_deps_match(changed)


def _upstream_requested() -> AutomationCondition[Any]:
    return AutomationCondition.any_deps_match(AutomationCondition.will_be_requested())


def _requested_or_made() -> AutomationCondition[Any]:
    return AutomationCondition.newly_requested() | AutomationCondition.newly_updated()


def _when_upstream_is_whole(wanted: AutomationCondition[Any]) -> Any:
    return (
        wanted
        & ~AutomationCondition.any_deps_missing()
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
        & ~_made_now("vector_index")
        & ~_made_now("text_index")
    )


def _made_now(index: str) -> AutomationCondition[Any]:
    # The ingest job ends with the indexes. Asked before that, they would be left out of the heavy run.
    return AutomationCondition.asset_matches(index, AutomationCondition.in_progress())


def at_most_once_a_minute() -> AutomationCondition[Any]:
    """For an asset made of every batch: soon after any of them changed, but not at each of many in a row."""
    changed = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed())
    handled = AutomationCondition.newly_requested()
    first = AutomationCondition.initial_evaluation() & AutomationCondition.missing()
    return (
        (changed | first).since(handled)
        & AutomationCondition.cron_tick_passed("* * * * *")
        & ~AutomationCondition.in_progress()
    ).with_label("at_most_once_a_minute")


understand_automation = dg.AutomationConditionSensorDefinition(
    "understand_automation",
    target=dg.AssetSelection.all() - dg.AssetSelection.assets("catalog"),
    run_tags=HEAVY_TAGS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    emit_backfills=False,
    description="Starts one heavy run a batch when its ingest has brought something new.",
)

catalog_automation = dg.AutomationConditionSensorDefinition(
    "catalog_automation",
    target=dg.AssetSelection.assets("catalog"),
    run_tags=CATALOG_TAGS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    emit_backfills=False,
    description="Publishes the catalogue when a batch has changed, at most once a minute.",
)

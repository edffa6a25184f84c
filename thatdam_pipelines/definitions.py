"""The whole platform on one page: everything below defs/, in one process a run."""

from pathlib import Path

import dagster as dg

from thatdam_pipelines.defs.resources import announcing, embedder_of, library_of


@dg.definitions
def defs() -> dg.Definitions:
    """Assets, checks, jobs, sensors and schedules, with what a run holds and the in-process executor."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    run_wide = dg.Definitions(
        resources={"library": library_of(), "embedder": embedder_of(), "announce": announcing()},
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(loaded, run_wide)

"""The whole platform on one page: everything below defs/, in one process a run."""

import dagster as dg

from thatdam_pipelines.defs.resources import announcing, embedder_of, library_of
from thatdam_pipelines.settings import project_file


@dg.definitions
def defs() -> dg.Definitions:
    """Assets, checks, jobs, sensors and schedules, with what a run holds and the in-process executor."""
    # Dagster reads [tool.dg] of the nearest pyproject.toml; an installed wheel carries one along.
    loaded = dg.load_from_defs_folder(path_within_project=project_file("pyproject.toml").parent)
    run_wide = dg.Definitions(
        resources={"library": library_of(), "embedder": embedder_of(), "announce": announcing()},
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(loaded, run_wide)

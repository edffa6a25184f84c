"""A workflow run in this process: what the command line waits for. It is a real run of the home's instance."""

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.dead_runs import worker_tag
from thatdam_pipelines.defs.resources import library_of
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import WORKFLOW_TAG, StepRow
from thatdam_pipelines.runs import QUIET
from thatdam_pipelines.settings import Settings


def run_workflow(settings: Settings, workflow_id: str) -> list[StepRow]:
    """Run a workflow that was asked for, to its end; its steps with what came of them."""
    with open_instance(settings, capture_output=False) as instance:
        defs().resolve_job_def("workflow").execute_in_process(
            instance=instance,
            run_config=QUIET,
            tags=worker_tag() | {WORKFLOW_TAG: workflow_id},
            resources={"library": library_of(settings)},
            raise_on_error=False,
        )
    with Library(settings) as library:
        return library.ledger.workflows.steps(workflow_id)

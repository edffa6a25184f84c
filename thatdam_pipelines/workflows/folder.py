"""The folder that workflows are dropped into: each file is run once as it is, its results stand beside it."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import ThatdamError, WorkflowError
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watch import is_ignored
from thatdam_pipelines.workflows.document import decoded, read_workflow
from thatdam_pipelines.workflows.running import ask_for, write_results

RESULT_SUFFIX = ".result.json"


@dataclass(frozen=True)
class FolderReport:
    """What one look at the workflows folder found.

    Args:
        asked: Ids of the workflows that no run has begun yet.
        waiting: Names of files that are still being written.
        refused: What is wrong, by the name of a file that cannot be run; each is told once,
            but those that cannot be read, as long as they cannot.
    """

    asked: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def look_for_workflows(library: Library, now: datetime) -> FolderReport:
    """Ask for every workflow that is new in ``settings.workflows_dir``, or was written again; the folder is made.

    A file is taken when it has not changed for ``settle_seconds``. What is wrong with one stands beside it, in
    ``NAME.result.json``, where the results will be too.
    """
    folder = library.settings.workflows_dir
    folder.mkdir(parents=True, exist_ok=True)
    report = FolderReport()
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(RESULT_SUFFIX) or is_ignored(path.name) or path.is_symlink() or not path.is_file():
            continue
        try:
            found = path.stat()
            is_settled = not 0 <= now.timestamp() - found.st_mtime < library.settings.settle_seconds
            raw = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            report.refused[path.name] = f"{escape_name(str(path))}: it cannot be read ({error.strerror})"
            continue
        if not is_settled:
            report.waiting.append(path.name)
            continue
        workflow_id = _id_of(path, raw, found.st_mtime_ns)
        try:
            _ask_once(library, path, raw, workflow_id)
        except ThatdamError as error:
            if _tell(path, workflow_id, error):
                report.refused[path.name] = str(error)
        else:
            if library.ledger.workflows.state(workflow_id) == "waiting":
                report.asked.append(workflow_id)
    return report


def _ask_once(library: Library, path: Path, raw: bytes, workflow_id: str) -> None:
    name = escape_name(path.name)
    if library.ledger.workflows.get(workflow_id) is None:
        ask_for(
            library,
            read_workflow(decoded(raw, name), name),
            name=name,
            source="folder",
            by=f"workflow {name}",
            base=path.parent,
            workflow_id=workflow_id,
            result_path=_result_path(path),
        )


def _tell(path: Path, workflow_id: str, error: ThatdamError) -> bool:
    """Write what is wrong beside the file; False when it stands there already."""
    result = _result_path(path)
    told: dict[str, Any] = {"workflow_id": workflow_id, "error": str(error)}
    told["problems"] = [vars(one) for one in error.problems] if isinstance(error, WorkflowError) else []
    try:
        if json.loads(result.read_text(encoding="utf-8")) == told:
            return False
    except (OSError, ValueError):
        # None was written yet, or not by us.
        pass
    write_results(result, told)
    return True


def _result_path(path: Path) -> Path:
    return path.with_name(path.stem + RESULT_SUFFIX)


def _id_of(path: Path, raw: bytes, modified_ns: int) -> str:
    """What a file is known by: its name, what is in it, and when it was written, as it may be set back to before."""
    return hashlib.sha256(os.fsencode(path.name) + b"\0%d\0" % modified_ns + raw).hexdigest()[:32]

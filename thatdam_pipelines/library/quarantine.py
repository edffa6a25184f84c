"""The quarantine: one report a batch of the files that failed. It holds no bytes; those stay where they are."""

import json

from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import FAILURE_TABLES

_TOLD = ("path", "stage", "reason", "next_step", "media_id", "failed_utc")


def report_failures(library: Library, batch_id: str) -> None:
    """Write ``quarantine/<batch>.json`` anew from the tables of failures; remove it when no file of the batch failed.

    Paths are escaped as in the tables. A reader sees the old report or the new one, never half of one.
    """
    failures = [row for table in FAILURE_TABLES for row in library.tables.read(table, batch_id).iter_rows(named=True)]
    target = library.settings.quarantine_dir / f"{batch_id}.json"
    if not failures:
        target.unlink(missing_ok=True)
        return
    failed = [{name: row[name] for name in _TOLD} for row in sorted(failures, key=lambda row: str(row["path"]))]
    report = json.dumps({"batch_id": batch_id, "failed": failed}, indent=2, default=str, ensure_ascii=False) + "\n"
    if not target.exists() or target.read_text("utf-8") != report:
        with replacing(target) as part:
            part.write_text(report, "utf-8")

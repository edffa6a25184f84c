"""`thatdam demo`: sample footage in, a real Dagster run, moments and a SQL table out; no server."""

import json
import tempfile
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thatdam_pipelines.ingest_command import IngestResult, ingest_paths
from thatdam_pipelines.library.catalog import run_sql
from thatdam_pipelines.samples.footage import SampleFile, write_demo_footage
from thatdam_pipelines.samples.tiny import tiny_settings
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings

SQL = """SELECT name, camera_model AS camera, video_codec AS codec, round(duration_s, 1) AS seconds, scenes, status, (
    SELECT string_agg(DISTINCT tag, ', ' ORDER BY tag) FROM tags
    WHERE tags.media_id = media.media_id AND method NOT IN ('measure', 'motion', 'sound')
) AS tags
FROM media ORDER BY name"""


def run_demo(console: Console, *, as_json: bool, minutes: float = 2.0) -> None:
    """Run the main job on ``minutes`` of sample footage in a throwaway home and show what comes out.

    Raises:
        ThatdamError: A step of the main job failed.
        typer.Exit: With 1, when the run failed or a query did not find its scene.
    """
    with tempfile.TemporaryDirectory(prefix="thatdam-demo-") as folder:
        settings = Settings(home=Path(folder) / "home", **tiny_settings())  # type: ignore[arg-type]
        drop = Path(folder) / "drop"
        with console.status(f"Making {minutes:.0f} minutes of sample footage ..."):
            files = write_demo_footage(drop, minutes)
        console.print(f"Made {len(files)} sample files, one of them broken on purpose.")
        console.print("Model: the tiny open_clip checkpoint of this repository; it knows these sample scenes only.")
        result = ingest_paths(settings, [drop], "copy", wait=True, console=console)
        console.print(f"Ingested {len(result.media)} files in {len(result.batches)} batch(es) by Dagster runs.")
        for failed in result.failed:
            console.print(f"  failed, as it should: {Path(failed['path']).name}: {failed['reason']}", highlight=False)
        answers = _ask(settings, files)
        rows = run_sql(settings, SQL)
        found = sum(answer["found"] for answer in answers)
        if as_json:
            typer.echo(json.dumps({**result.as_dict(), "searches": answers, "sql": rows.to_dicts()}, default=str))
        else:
            _show(console, answers, rows)
            console.print(f"{found} of {len(answers)} queries found their scene first.")
            console.print("`make run` starts the platform; `thatdam ingest PATH --wait` takes your own footage.")
    if not _good(result, found, len(answers)):
        raise typer.Exit(1)


def _ask(settings: Settings, files: list[SampleFile]) -> list[dict[str, Any]]:
    """Ask for scenes of the first clip that was not broken, and compare with what it is known to show."""
    clip = next(file for file in files if len(file.shown) > 1)
    answers = []
    with Searcher(settings) as searcher:
        for shown in clip.shown:
            moments = searcher.search(Query(text=shown.caption, level="l2", limit=3)).moments
            first = moments[0] if moments else None
            found = (
                first is not None
                and Path(first.path).name == clip.path.name
                and abs(first.start_s - shown.start_s) <= 0.5
                and abs(first.end_s - shown.end_s) <= 0.5
            )
            answers.append(
                {
                    "query": shown.caption,
                    "shown": [shown.start_s, shown.end_s],
                    "found": found,
                    "moment": first.as_dict() if first else None,
                }
            )
    return answers


def _show(console: Console, answers: list[dict[str, Any]], rows: Any) -> None:
    table = Table("query", "first moment found", "why", title="thatdam search", box=None)
    for answer in answers:
        moment = answer["moment"]
        place = f"{Path(moment['path']).name} {moment['start_s']:.1f}-{moment['end_s']:.1f} s" if moment else "nothing"
        table.add_row(answer["query"], place, escape("; ".join(moment["reasons"])) if moment else "")
    console.print(table)
    facts = Table(*rows.columns, title="thatdam sql", box=None)
    for row in rows.iter_rows():
        facts.add_row(*("" if value is None else str(value) for value in row))
    console.print(facts)


def _good(result: IngestResult, found: int, asked: int) -> bool:
    return result.finished and found >= asked - asked // 10

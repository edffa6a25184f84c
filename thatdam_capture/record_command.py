"""`thatdam-capture record --for`: record, show how it goes, and say what came of it."""

import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from thatdam_capture.client import RecorderClient

POLL_S = 0.25


@dataclass(frozen=True)
class Takes:
    """Manifests of what was committed, and the cameras that were to record."""

    manifests: list[dict[str, Any]]
    cameras: list[str]

    @property
    def faults(self) -> list[str]:
        """Each camera and each segment from which frames are missing, in words."""
        there = {one["camera"]["id"] for one in self.manifests}
        found = [f"{camera}: nothing was recorded" for camera in self.cameras if camera not in there]
        for one in self.manifests:
            what = []
            if one["dropped"]:
                what.append(f"{one['dropped']} frames dropped")
            if not one["complete"]:
                what.append("cut off")
            if one["gap_before_s"]:
                what.append(f"{one['gap_before_s']:.2f} s missing before it")
            if what:
                found.append(f"{one['file']}: {', '.join(what)}")
        return found


def record_and_wait(client: RecorderClient, request: dict[str, Any], console: Console) -> Takes:
    """Record for ``max_s`` of the request; Ctrl-C stops earlier. Either way everything is committed on return."""
    started = client.post("/v1/record", request)
    ids = [one["id"] for one in started["sessions"]]
    try:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[counts]}"),
            console=console,
        ) as progress:
            rows = {
                one["camera_id"]: progress.add_task(one["camera_id"], total=request["max_s"], counts="starting")
                for one in started["sessions"]
            }
            while _show(client, ids, rows, progress):
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.print("Stopping ...")
    # By session: another recording may have had the same name for its take.
    manifests = [one for session in ids for one in client.post(f"/v1/record/{session}/stop")["manifests"]]
    return Takes(manifests, request["camera_ids"])


def _show(client: RecorderClient, ids: list[str], rows: dict[str, TaskID], progress: Progress) -> bool:
    """Bring the lines up to date; returns whether any of the sessions still runs."""
    running = False
    for camera in client.get("/v1/devices"):
        if camera["id"] not in rows:
            continue
        session, stats = camera["session"], camera["stats"]
        ours = session is not None and session["id"] in ids
        running |= ours
        counts = f"{stats['frames']} frames, {stats['dropped']} dropped"
        state = "" if not ours or camera["state"] == "recording" else f"  {camera['state']}"
        progress.update(rows[camera["id"]], completed=stats["elapsed_s"] if ours else None, counts=counts + state)
    return running

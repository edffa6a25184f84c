"""What all sessions of a recorder share."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

from thatdam_capture.disk import Disk
from thatdam_capture.settings import Settings
from thatdam_capture.store import Store


@dataclass(frozen=True)
class Recorder:
    """What all sessions of a service share.

    Attributes:
        swept: Set when nothing of dead sessions is being committed.
        committers: Threads for commits, which take long, so that they never keep the watching of cameras waiting.
    """

    settings: Settings
    store: Store
    disk: Disk
    ffmpeg: str
    name: str
    host: str
    versions: dict[str, str]
    swept: asyncio.Event
    committers: Executor

"""Scans that run at once, or are killed, take every file once."""

import random
import signal
import subprocess
import sys
import time

from thatdam_pipelines.samples.watched import Watched


def test_two_scanners_at_once_take_each_file_once(watched: Watched) -> None:
    for number in range(40):
        watched.drop(f"card {number % 8}/{number}.mov")
    program = (
        "import sys\n"
        "from datetime import datetime, timedelta, UTC\n"
        "from pathlib import Path\n"
        "from thatdam_pipelines.library.ledger import Ledger\n"
        "from thatdam_pipelines.library.watch import scan_folder\n"
        "from thatdam_pipelines.settings import Settings, WatchedFolder\n"
        "settings = Settings(home=Path(sys.argv[1]))\n"
        "folder = WatchedFolder(path=Path(sys.argv[2]), settle_seconds=0)\n"
        "ledger = Ledger(settings.database_url)\n"
        "for tick in range(30):\n"
        "    scan_folder(ledger, settings, folder, datetime.now(UTC))\n"
    )
    scanners = [
        subprocess.Popen([sys.executable, "-c", program, str(watched.settings.home), str(watched.path)])
        for _ in range(2)
    ]

    assert [scanner.wait(timeout=60) for scanner in scanners] == [0, 0]
    taken = [path for batch in watched.batches() for path in batch]
    assert len(taken) == len(set(taken)) == 40


def test_ticks_killed_at_any_point_lose_and_double_nothing(watched: Watched) -> None:
    for number in range(300):
        watched.drop(f"card {number % 20}/{number}.mov")
    program = (
        "import sys\n"
        "from datetime import datetime, timedelta, UTC\n"
        "from pathlib import Path\n"
        "from thatdam_pipelines.library.ledger import Ledger\n"
        "from thatdam_pipelines.library.watch import scan_folder\n"
        "from thatdam_pipelines.settings import Settings, WatchedFolder\n"
        "settings = Settings(home=Path(sys.argv[1]), batch_max_files=4)\n"
        "folder = WatchedFolder(path=Path(sys.argv[2]), settle_seconds=0)\n"
        "print('ready', flush=True)\n"
        "ledger = Ledger(settings.database_url)\n"
        "for tick in range(int(sys.argv[3])):\n"
        "    scan_folder(ledger, settings, folder, datetime.now(UTC))\n"
    )
    arguments = [sys.executable, "-c", program, str(watched.settings.home), str(watched.path)]
    chance = random.Random(4)
    for _ in range(6):
        with subprocess.Popen([*arguments, "1000"], stdout=subprocess.PIPE) as scanner:
            assert scanner.stdout is not None
            scanner.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.12))
            scanner.send_signal(signal.SIGKILL)
    subprocess.run([*arguments, "6"], check=True, stdout=subprocess.DEVNULL)

    taken = [path for batch in watched.batches() for path in batch]
    assert len(taken) == len(set(taken)) == 300
    assert set(watched.states().values()) == {"claimed"}

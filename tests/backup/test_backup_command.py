"""The commands: exit codes, what they print, and the disaster walk-through of docs/backup.md, walked."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {"THATDAM_EMBEDDER": "descriptor", "THATDAM_WORKERS": "2", "THATDAM_DISK_RESERVE_BYTES": "0"}


def thatdam(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THATDAM_")}
    return subprocess.run(
        [sys.executable, "-c", "from thatdam_pipelines.cli import main; main()", *arguments],
        env={**environment, **ENVIRONMENT, **settings},
        cwd=folder,
        capture_output=True,
        text=True,
    )


def answered(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Settings of a machine with a library of one picture, and two targets."""
    from PIL import Image

    (tmp_path / "card/DCIM").mkdir(parents=True)
    Image.new("RGB", (64, 48), "red").save(tmp_path / "card/DCIM/red.png")
    targets = [{"name": "nas", "url": str(tmp_path / "nas")}, {"name": "usb", "url": str(tmp_path / "usb")}]
    machine = {"THATDAM_HOME": str(tmp_path / "home"), "THATDAM_BACKUP_TARGETS": json.dumps(targets)}
    assert thatdam(tmp_path, "ingest", str(tmp_path / "card"), "--json", **machine).returncode == 0
    return machine


def test_the_disaster_walk_through_ends_in_the_same_library(machine: dict[str, str], tmp_path: Path) -> None:
    runs = answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    assert [run["target"] for run in runs] == ["nas", "usb"] and all(
        run["verified"] == run["new_files"] for run in runs
    )
    before = thatdam(tmp_path, "sql", "FROM media", "--json", **machine).stdout
    assert all(
        not one["wrong"] for one in answered(thatdam(tmp_path, "backup", "verify", "--all", "--json", **machine))
    )
    assert all(not one["wrong"] for one in answered(thatdam(tmp_path, "backup", "drill", "--json", **machine)))
    said = answered(thatdam(tmp_path, "backup", "prune", "--dry-run", "--json", **machine))
    assert all(one["removed"] == [] and one["objects"] == 0 for one in said)

    shutil.rmtree(tmp_path / "home")
    nas, new = str(tmp_path / "nas"), {"THATDAM_HOME": str(tmp_path / "new")}
    listed = thatdam(tmp_path, "backup", "list", "--from", nas)
    assert runs[0]["snapshot_id"] in listed.stdout
    restoring = ["backup", "restore", "latest", "--all", "--to", new["THATDAM_HOME"], "--from", nas]
    would = answered(thatdam(tmp_path, *restoring, "--dry-run", "--json"))
    assert would["files"] > 1 and would["estimate"]["seconds"] > 0 and not Path(new["THATDAM_HOME"]).exists()
    assert "It would take about 0:" in thatdam(tmp_path, *restoring, "--dry-run").stdout
    done = thatdam(tmp_path, *restoring)
    assert done.returncode == 0 and "index rebuild all" in done.stdout, done.stderr
    assert thatdam(tmp_path, "index", "rebuild", "all", "--json", **new).returncode == 0
    assert thatdam(tmp_path, "sql", "FROM media", "--json", **new).stdout == before
    assert answered(thatdam(tmp_path, "verify", "--all", "--json", **new))["wrong"] == []
    assert answered(thatdam(tmp_path, "search", "red.png", "--json", **new))[0]["path"].endswith("red.png")


def test_the_disaster_walk_through_of_an_encrypted_target_needs_its_key(
    machine: dict[str, str], tmp_path: Path
) -> None:
    key, safe = tmp_path / "thatdam.key", str(tmp_path / "paper.key")
    made = thatdam(tmp_path, "backup", "key", "new", str(key))
    assert made.returncode == 0 and "age1" in made.stdout
    assert thatdam(tmp_path, "backup", "key", "new", str(key)).returncode == 2
    targets = [{"name": "cloud", "url": str(tmp_path / "cloud"), "key_file": str(key)}]
    plain = [{"name": "plain", "url": str(tmp_path / "plain")}]
    machine = machine | {"THATDAM_BACKUP_TARGETS": json.dumps(targets + plain)}
    answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    before = thatdam(tmp_path, "sql", "FROM media", "--json", **machine).stdout
    checked = thatdam(tmp_path, "backup", "key", "check", str(key), **machine)
    assert checked.returncode == 0 and "opens      cloud" in checked.stdout
    thatdam(tmp_path, "backup", "key", "new", str(tmp_path / "wrong.key"))
    checked = thatdam(tmp_path, "backup", "key", "check", str(tmp_path / "wrong.key"), **machine)
    assert checked.returncode == 1 and "nothing in it can be read" in checked.stdout

    Path(safe).write_text(key.read_text().splitlines()[-1])
    key.unlink()
    shutil.rmtree(tmp_path / "home")
    restore = ["backup", "restore", "latest", "--all", "--to", str(tmp_path / "new"), "--from", str(tmp_path / "cloud")]
    lost = thatdam(tmp_path, *restore)
    assert lost.returncode == 2 and "encrypted for the key" in lost.stderr and not (tmp_path / "new").exists()
    assert thatdam(tmp_path, *restore, "--key", safe).returncode == 0
    new = {"THATDAM_HOME": str(tmp_path / "new")}
    assert thatdam(tmp_path, "index", "rebuild", "all", "--json", **new).returncode == 0
    assert thatdam(tmp_path, "sql", "FROM media", "--json", **new).stdout == before


def test_one_target_that_is_offline_does_not_keep_the_other_from_its_snapshot(
    machine: dict[str, str], tmp_path: Path
) -> None:
    answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    (tmp_path / "nas").rename(tmp_path / "unplugged")
    (tmp_path / "nas").mkdir()
    nas, usb = answered(thatdam(tmp_path, "backup", "run", "--json", **machine), 1)
    assert "no identity" in nas["error"] and usb["verified"] == usb["new_files"]
    listed = thatdam(tmp_path, "backup", "list", "--json", **machine)
    assert {one["target"] for one in answered(listed, 1)} == {"usb"} and f"{tmp_path}/nas" in listed.stderr


def test_a_database_that_fails_at_one_target_does_not_keep_the_other_from_its_snapshot(
    machine: dict[str, str], tmp_path: Path
) -> None:
    refuse = "BEFORE INSERT ON snapshots WHEN new.target = 'nas' BEGIN SELECT RAISE(ABORT, 'no'); END"
    with closing(sqlite3.connect(tmp_path / "home/library.db")) as database:
        database.execute(f"CREATE TRIGGER refuse {refuse}")
    nas, usb = answered(thatdam(tmp_path, "backup", "run", "--json", **machine), 1)
    assert f"{tmp_path}/home/library.db: the library database cannot be used (no)" in nas["error"]
    assert usb["verified"] == usb["new_files"] > 0


@pytest.mark.parametrize("begins", [0, 4096], ids=["its head", "all but its first page"])
def test_a_damaged_library_database_is_named_with_the_way_to_get_it_back_which_works(
    machine: dict[str, str], tmp_path: Path, begins: int
) -> None:
    answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    before = thatdam(tmp_path, "sql", "FROM media", "--json", **machine).stdout
    database = tmp_path / "home/library.db"
    database.write_bytes(database.read_bytes()[:begins] + bytes(range(256)) * 400)
    (tmp_path / "card/DCIM/new.png").write_bytes(b"new")
    for command in (["ingest", str(tmp_path / "card")], ["backup", "run"], ["album", "list"]):
        failed = thatdam(tmp_path, *command, **machine)
        said = " ".join(failed.stderr.split())
        assert failed.returncode == 1 and "Traceback" not in said, said
        assert "the library database is damaged" in said and "home/library.db" in said.replace(" ", "")
        assert "backup restore latest --path library.db" in said

    restored = thatdam(tmp_path, "backup", "restore", "latest", "--path", "library.db", "--to", "out", **machine)
    assert restored.returncode == 0, restored.stderr
    for path in (tmp_path / "home").glob("library.db*"):
        path.rename(tmp_path / path.name)
    shutil.copy(tmp_path / "out/library.db", tmp_path / "home")
    assert thatdam(tmp_path, "sql", "FROM media", "--json", **machine).stdout == before
    assert thatdam(tmp_path, "ingest", str(tmp_path / "card"), **machine).returncode == 0
    assert thatdam(tmp_path, "sql", "FROM media", "--json", **machine).stdout != before


def test_a_snapshot_whose_manifests_are_lost_is_given_up_only_when_told_so_and_pruning_goes_on(
    machine: dict[str, str], tmp_path: Path
) -> None:
    first, _ = answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    second, _ = answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    for folder in ("snapshots", "spare"):
        (path,) = (tmp_path / "nas" / folder).glob(f"{first['snapshot_id']}*")
        path.write_bytes(b"rotten")
    nas, usb = answered(thatdam(tmp_path, "backup", "prune", "--json", **machine), 1)
    way_out = f"backup prune --target nas --give-up {first['snapshot_id']}"
    assert way_out in nas["error"] and "error" not in usb
    assert thatdam(tmp_path, "backup", "prune", "--give-up", first["snapshot_id"], **machine).returncode == 2
    (would,) = answered(thatdam(tmp_path, *way_out.split(), "--dry-run", "--json", **machine))
    (done,) = answered(thatdam(tmp_path, *way_out.split(), "--json", **machine))
    for report in (would, done):
        assert (report["given_up"], report["kept"]) == ([first["snapshot_id"]], [second["snapshot_id"]])
    again = answered(thatdam(tmp_path, "backup", "prune", "--json", **machine))
    assert [one["target"] for one in again] == ["nas", "usb"]
    assert len(list((tmp_path / "nas/damaged").iterdir())) == 2
    assert answered(thatdam(tmp_path, "backup", "drill", "--json", **machine))[0]["wrong"] == []


def test_of_two_libraries_at_one_target_latest_is_the_homes_own(machine: dict[str, str], tmp_path: Path) -> None:
    other = machine | {"THATDAM_HOME": str(tmp_path / "other")}
    (own, _) = answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    answered(thatdam(tmp_path, "backup", "run", "--json", **other))
    said = answered(
        thatdam(tmp_path, "backup", "restore", "latest", "--all", "--to", "new", "--dry-run", "--json", **machine)
    )
    assert said["snapshot_id"][-13:-5] == own["snapshot_id"][-13:-5]
    unknown = thatdam(tmp_path, "backup", "list", "latest", "--from", str(tmp_path / "nas"), THATDAM_HOME="none")
    assert unknown.returncode == 2 and "2 libraries" in unknown.stderr
    assert own["snapshot_id"] in "".join(unknown.stderr.split())


def test_the_files_of_a_snapshot_are_listed_whichever_target_has_it(machine: dict[str, str], tmp_path: Path) -> None:
    _, usb = answered(thatdam(tmp_path, "backup", "run", "--json", **machine))
    assert answered(thatdam(tmp_path, "backup", "list", usb["snapshot_id"], "--json", **machine))
    missing = thatdam(tmp_path, "backup", "list", "nosuch", **machine)
    assert missing.returncode == 2
    assert "at nas; there is no such snapshot at usb" in " ".join(missing.stderr.split())


def test_wrong_arguments_end_with_2_and_the_next_step(machine: dict[str, str], tmp_path: Path) -> None:
    none = {"THATDAM_HOME": machine["THATDAM_HOME"]}
    for arguments, settings in (
        (["backup", "run"], none),
        (["backup", "run", "--target", "nobody"], machine),
        (["backup", "restore", "latest", "--to", "out"], machine),
        (["backup", "restore", "latest", "--all", "--media", "1", "--to", "out"], machine),
        (["backup", "restore", "latest", "--media", "1", "--to", "out", "--database", "postgresql://x"], machine),
        (["backup", "restore", "latest", "--media", "", "--to", "out"], machine),
        (["verify"], machine),
        (["verify", "--sample", "500%"], machine),
    ):
        assert thatdam(tmp_path, *arguments, **settings).returncode == 2, arguments
    assert "docs/backup.md" in thatdam(tmp_path, "backup", "run", **none).stderr

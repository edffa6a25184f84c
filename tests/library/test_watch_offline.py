"""A watched folder, or a part of it, that cannot be reached takes nothing with it."""

import os
import shutil

import pytest

from thatdam_pipelines.samples.watched import Watched


def test_an_unreachable_folder_is_reported_once_and_resumes(watched: Watched) -> None:
    watched.drop("A/1.mov")
    watched.tick()
    watched.path.rename(watched.path.with_name("unplugged"))

    reports = [watched.tick() for _ in range(3)]

    assert [(report.online, report.changed) for report in reports] == [(False, True), (False, False), (False, False)]
    assert "No such file" in reports[0].message
    folder = watched.ledger.folder(str(watched.path))
    assert folder is not None
    assert not folder.online
    assert watched.states() == {"A/1.mov": "seen"}
    watched.path.with_name("unplugged").rename(watched.path)
    back = watched.tick()
    assert (back.online, back.changed) == (True, True)
    assert watched.batches() == [{"A/1.mov"}]


def test_an_unmounted_disk_takes_nothing_with_it(watched: Watched) -> None:
    watched.mode = "reference"
    watched.drop("A/1.mov")
    watched.tick()
    watched.tick()
    watched.ingest()
    watched.path.rename(watched.path.with_name("unplugged"))
    watched.path.mkdir()

    report = watched.tick()

    assert (report.online, report.changed, report.gone) == (False, True, 0)
    assert "empty folder" in report.message
    assert watched.states() == {"A/1.mov": "done"}
    watched.path.rmdir()
    watched.path.with_name("unplugged").rename(watched.path)
    assert watched.tick().changed
    assert watched.tick().arrived == 0


def test_a_disk_below_the_folder_that_is_unmounted_and_mounted_again_is_not_ingested_again(watched: Watched) -> None:
    watched.drop("disk/1.mov")
    watched.drop("here.mov")
    watched.tick()
    watched.tick()
    watched.ingest()
    (watched.path / "disk").rename(watched.path.with_name("unplugged"))
    assert watched.tick().gone == 1
    watched.path.with_name("unplugged").rename(watched.path / "disk")

    reports = [watched.tick() for _ in range(3)]

    assert [report.batches for report in reports] == [[], [], []]
    assert watched.states() == {"disk/1.mov": "done", "here.mov": "done"}


def test_a_disk_that_goes_during_the_walk_takes_nothing_with_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.drop("A/1.mov")
    watched.tick()
    scandir = os.scandir
    looks = 0

    def pulled_out_in_between(path: object) -> object:
        nonlocal looks
        looks += 1
        if looks == 3:
            shutil.rmtree(watched.path)
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", pulled_out_in_between)

    assert watched.tick().gone == 0
    assert watched.states() == {"A/1.mov": "seen"}


def test_a_folder_that_is_truly_emptied_is_not_offline(watched: Watched) -> None:
    path = watched.drop("1.mov")
    watched.tick()
    watched.tick()
    watched.ingest()
    path.unlink()

    report = watched.tick()

    assert (report.online, report.gone) == (True, 1)


def test_a_folder_below_that_cannot_be_read_takes_nothing_with_it_and_is_named(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.drop("A/1.mov")
    watched.drop("B/1.mov")
    watched.tick()
    open_ = os.open

    def refuse(path: str, flags: int, *args: object, **kwargs: object) -> int:
        if path == str(watched.path / "A"):
            raise PermissionError(13, "Permission denied", path)
        return open_(path, flags, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    report = watched.tick()

    assert report.message == "A/ cannot be read (Permission denied)"
    assert report.gone == 0
    assert {"B/1.mov"} in watched.batches()

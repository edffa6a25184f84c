"""A power cut at any point leaves a whole copy: what reaches the disk, and in which order, is watched call by call."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.errors import ChangedError, StoreError
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.settings import Settings

KEY = "raw/2026/11/20/batch/DCIM/clip.mov"


class Cables:
    """The system calls that matter when the power fails, as they happen; what is not synced would be lost.

    Attributes:
        synced: Files and folders whose last change is on the disk.
        lost: Sources that went while no whole copy would have outlived a power cut.
        before_sync: Called with what is about to be synced; may raise or wait.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, target: Path, top: Path, sources: list[Path]) -> None:
        self._real = {name: getattr(os, name) for name in ("link", "rename", "unlink", "mkdir", "fsync")}
        self._target, self._top, self._sources = target, top, sources
        self.synced: set[Path] = set()
        self.lost: list[Path] = []
        self.before_sync: Callable[[Path], None] = lambda path: None
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, name))

    def link(self, source: Any, target: Any, **more: Any) -> None:
        self._real["link"](source, target, **more)
        self._named(Path(source), Path(target))

    def rename(self, source: Any, target: Any) -> None:
        self._real["rename"](source, target)
        self._named(Path(source), Path(target))

    def mkdir(self, path: Any, *mode: int) -> None:
        self._real["mkdir"](path, *mode)
        self.synced -= {Path(path), Path(path).parent}

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.before_sync(path)
        self._real["fsync"](descriptor)
        self.synced.add(path)

    def unlink(self, path: Any, **more: Any) -> None:
        if Path(path) in self._sources:
            folders = {folder for folder in self._target.parents if folder.is_relative_to(self._top)}
            if not {self._target, *folders} <= self.synced:
                self.lost.append(Path(path))
        self._real["unlink"](path, **more)

    def _named(self, source: Path, target: Path) -> None:
        self.synced.discard(target.parent)
        (self.synced.add if source in self.synced else self.synced.discard)(target)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "clip.mov"
    source.write_bytes(b"content" * 1000)
    return source


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.media_url, settings)


@pytest.fixture
def cables(monkeypatch: pytest.MonkeyPatch, store: Store, settings: Settings, source: Path) -> Cables:
    return Cables(monkeypatch, Path(store.url(KEY)), settings.home.parent, [source])


def second_name(source: Path) -> None:
    os.link(source, source.with_name("elsewhere"))


def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("way", ["renamed", "copied", "copied without links", "already there"])
def test_a_source_goes_only_when_its_copy_and_every_folder_above_it_are_on_the_disk(
    store: Store, source: Path, cables: Cables, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "copied":
        second_name(source)
    elif way == "copied without links":
        no_hard_links(monkeypatch)
    elif way == "already there":
        store.put(source, KEY)
    store.put(source, KEY, move=True)
    assert not source.exists() and store.read_bytes(KEY) == b"content" * 1000
    assert cables.lost == []


def test_folders_that_went_and_came_back_are_made_durable_again(store: Store, source: Path, cables: Cables) -> None:
    with store.exclusive("raw/2026/11/20/batch"):
        store.put(source, KEY)
        store.flush()
        Path(store.url(KEY)).unlink()
    assert not Path(store.url("raw/2026/11/20/batch")).exists()
    store.put(source, KEY, move=True)
    assert not source.exists() and cables.lost == []


def test_a_published_folder_and_every_folder_above_it_are_on_the_disk(
    store: Store, settings: Settings, cables: Cables, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "proxy.mp4").write_bytes(b"proxy")
    store.publish_dir(made, "derived/ab/abcd/proxy-1")
    parents = Path(store.url("derived/ab/abcd/proxy-1")).parents
    assert {folder for folder in parents if folder.is_relative_to(settings.home)} <= cables.synced


@pytest.mark.parametrize("way", ["renamed", "copied"])
def test_a_source_stays_when_its_copys_name_cannot_be_made_durable(
    store: Store, source: Path, cables: Cables, way: str
) -> None:
    if way == "copied":
        second_name(source)

    def fail(path: Path) -> None:
        if path == Path(store.url(KEY)).parent:
            raise OSError(errno.EIO, "Input/output error")

    cables.before_sync = fail
    with pytest.raises(StoreError, match="Input/output error"):
        store.put(source, KEY, move=True)
    with pytest.raises(StoreError, match="Input/output error"):
        store.flush()
    assert source.read_bytes() == b"content" * 1000
    cables.before_sync = lambda path: None
    store.put(source, KEY, move=True)
    assert not source.exists() and cables.lost == []


@pytest.mark.parametrize("way", ["renamed", "copied"])
def test_a_source_waits_for_the_sync_that_another_thread_began(
    store: Store, source: Path, cables: Cables, way: str
) -> None:
    other = source.with_name("other.mov")
    other.write_bytes(b"other")
    if way == "copied":
        second_name(source)
    began, go_on = threading.Event(), threading.Event()
    finished: list[bool] = []

    def wait(path: Path) -> None:
        if path == Path(store.url(KEY)).parent and not began.is_set():
            began.set()
            assert go_on.wait(30)

    cables.before_sync = wait
    slow = threading.Thread(target=store.flush)
    store.put(other, f"{KEY}.other")
    slow.start()
    assert began.wait(30)
    quick = threading.Thread(target=lambda: finished.append(bool(store.put(source, KEY, move=True))))
    quick.start()
    quick.join(0.5)
    go_on.set()
    slow.join(30)
    quick.join(30)
    assert finished and not source.exists()
    assert cables.lost == []


def test_a_file_saved_under_the_name_of_one_that_is_being_moved_stays(
    store: Store, source: Path, cables: Cables
) -> None:
    def replace(path: Path) -> None:
        if path == Path(store.url(KEY)).parent:
            fresh = source.with_name("fresh")
            fresh.write_bytes(b"a new take")
            fresh.replace(source)

    cables.before_sync = replace
    store.put(source, KEY, move=True)
    assert source.read_bytes() == b"a new take"
    assert store.read_bytes(KEY) == b"content" * 1000


@pytest.mark.parametrize("source_is", ["still there", "gone"])
def test_a_file_written_to_while_it_is_moved_keeps_a_name(
    store: Store, source: Path, cables: Cables, source_is: str
) -> None:
    def write(path: Path) -> None:
        if path == Path(store.url(KEY)).parent and source.exists():
            with source.open("ab") as opened:
                opened.write(b"more")
            if source_is == "gone":
                source.replace(source.with_name("renamed.mov"))
                source.with_name("renamed.mov").unlink()

    source.chmod(0o666)
    cables.before_sync = write
    with pytest.raises(ChangedError):
        store.put(source, KEY, move=True)
    left = source if source_is == "still there" else Path(store.url(KEY))
    assert left.read_bytes() == b"content" * 1000 + b"more"
    assert store.exists(KEY) == (source_is == "gone")

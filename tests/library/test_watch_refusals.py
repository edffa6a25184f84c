"""What a watched folder holds and is never taken."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from thatdam_pipelines.library import watch
from thatdam_pipelines.samples.watched import Watched
from thatdam_pipelines.settings import Settings, WatchedFolder


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.mov",
        "clip.mov.part",
        "clip.mov.tmp",
        "clip.MOV.TMP",
        "clip.mov.crdownload",
        "clip.mov.filepart",
        "clip.mov~",
        "@eaDir/clip.mov",
        ".Trash-1000/clip.mov",
        ".Trashes/clip.mov",
        "System Volume Information/clip.mov",
        "$RECYCLE.BIN/clip.mov",
        "lost+found/clip.mov",
        ".DS_Store",
        "Thumbs.db",
        "CARD/.Spotlight-V100/clip.mov",
    ],
)
def test_hidden_partial_and_system_files_are_ignored(watched: Watched, name: str) -> None:
    watched.drop(name)
    watched.drop("clip.mov")

    watched.tick()
    watched.tick()

    assert watched.states() == {"clip.mov": "claimed"}


def test_links_are_never_followed_and_loops_do_no_harm(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.mov").write_bytes(b"secret")
    (watched.path / "file.mov").symlink_to(tmp_path / "outside" / "secret.mov")
    (watched.path / "folder").symlink_to(tmp_path / "outside")
    (watched.path / "loop").symlink_to(watched.path)
    (watched.path / "broken.mov").symlink_to("nowhere")
    watched.drop("clip.mov")

    watched.tick()
    watched.tick()

    assert watched.states() == {"clip.mov": "claimed"}


def test_a_folder_that_is_replaced_by_a_link_just_now_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "A").symlink_to(tmp_path / "outside")

    with pytest.raises(NotADirectoryError), watch._entries(str(tmp_path / "top"), "A/"):
        pass


def test_what_is_not_a_regular_file_is_refused_once_with_a_reason(watched: Watched) -> None:
    os.mkfifo(watched.path / "pipe.mov")
    with socket.socket(socket.AF_UNIX) as listening:
        with contextlib.chdir(watched.path):
            listening.bind("socket.mov")
        watched.tick()
        (pipe, sock) = watched.ledger.files_in(str(watched.path), ["failed"])
        assert {pipe.reason, sock.reason} == {"it is not a regular file"}

        for _ in range(3):
            watched.tick()

    assert watched.states() == {"pipe.mov": "failed", "socket.mov": "failed"}
    assert watched.ledger.files_in(str(watched.path), ["failed"])[0].first_seen_utc == pipe.first_seen_utc


def test_the_library_never_takes_its_own_files(settings: Settings, tmp_path: Path) -> None:
    watched = Watched(settings, tmp_path / "all")
    inner = watched.path / "inner"
    home = watched.path / "home"
    watched.settings = settings.model_copy(
        update={"home": home, "watched": [WatchedFolder(path=watched.path), WatchedFolder(path=inner)]}
    )
    for name in ("home/library.db", "home/media/raw/1.mov", "inner/1.mov", "mine.mov"):
        watched.drop(name)

    watched.tick()

    assert set(watched.states()) == {"mine.mov"}
    watched.ledger.close()

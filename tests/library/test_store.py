import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import S3_SERVERS
from thatdam_pipelines.errors import ChangedError, MediaError, OfflineError, OverwriteError, StoreError
from thatdam_pipelines.library import disk
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.store import Store, raw_folder
from thatdam_pipelines.settings import Settings

BATCH = "20261120T210509-0a1b2c3d"
KEY = f"raw/2026/11/20/{BATCH}/CARD/clip.mov"


@pytest.fixture(params=["disk", *S3_SERVERS])
def store(request: pytest.FixtureRequest, settings: Settings) -> Store:
    if request.param != "disk":
        server = request.getfixturevalue(f"{request.param}_server")
        settings = request.getfixturevalue("in_bucket")(server)
    return Store(settings.media_url, settings)


@pytest.fixture
def local(settings: Settings) -> Store:
    return Store(settings.media_url, settings)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "clip.mov"
    path.parent.mkdir()
    path.write_bytes(os.urandom(100_000))
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_789))
    return path


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_stored_file_is_the_source_byte_for_byte_with_its_time(store: Store, clip: Path) -> None:
    content = clip.read_bytes()

    digest = store.put(clip, KEY)
    store.flush()

    assert digest == digest_file(clip) == store.digest(KEY)
    assert store.read_bytes(KEY) == content
    assert store.read_bytes(KEY, 10) == content[:10]
    assert store.size(KEY) == 100_000
    assert store.modified_ns(KEY) == 1_600_000_000_123_456_789
    assert store.exists(KEY)
    with store.local(KEY) as path:
        assert path.read_bytes() == content
        assert path.suffix == ".mov"


def test_a_copied_source_stays_and_a_moved_one_goes(store: Store, clip: Path) -> None:
    store.put(clip, KEY)
    assert clip.exists()

    store.put(clip, KEY.replace("clip", "other"), move=True)

    assert not clip.exists()
    assert store.size(KEY.replace("clip", "other")) == 100_000


def test_different_content_is_never_overwritten(store: Store, clip: Path, tmp_path: Path) -> None:
    store.put(clip, KEY)
    content = clip.read_bytes()
    (tmp_path / "other.mov").write_bytes(b"different")

    for move in (False, True):
        with pytest.raises(OverwriteError, match="different content is already there"):
            store.put(tmp_path / "other.mov", KEY, move=move)

    assert store.read_bytes(KEY) == content
    assert (tmp_path / "other.mov").exists()


def test_the_same_content_already_there_is_fine(store: Store, clip: Path) -> None:
    first = store.put(clip, KEY)

    assert store.put(clip, KEY) == first
    assert store.put(clip, KEY, move=True) == first
    assert not clip.exists()


def test_a_file_without_bytes_is_stored(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty.mov").touch()

    digest = store.put(tmp_path / "empty.mov", KEY)

    assert digest.size_bytes == 0
    assert store.size(KEY) == 0
    assert store.exists(KEY)
    assert store.read_bytes(KEY, 10) == b""
    assert store.digest(KEY) == digest


def test_what_is_not_there_is_said_to_be_missing(store: Store) -> None:
    assert store.size(KEY) is None
    assert store.modified_ns(KEY) is None
    assert not store.exists(KEY)
    with pytest.raises(StoreError, match="missing from the media store"), store.local(KEY):
        pass
    with pytest.raises(StoreError, match="missing from the media store"):
        store.digest(KEY)


def test_a_source_that_vanished_costs_only_itself(store: Store, tmp_path: Path) -> None:
    for move in (False, True):
        with pytest.raises(MediaError, match="cannot be read"):
            store.put(tmp_path / "gone.mov", KEY, move=move)
    assert not store.exists(KEY)


def test_a_derived_folder_is_published_whole_once(store: Store, tmp_path: Path) -> None:
    key = store.derived_key("abcdef" + "0" * 26, "proxy-1-0123456789")
    assert key == f"derived/ab/abcdef{'0' * 26}/proxy-1-0123456789"

    def made(content: bytes) -> Path:
        folder = tmp_path / "made"
        (folder / "sub").mkdir(parents=True)
        (folder / "proxy.mp4").write_bytes(content)
        (folder / "sub" / "poster.jpg").write_bytes(b"poster")
        return folder

    assert not store.exists(key)
    store.publish_dir(made(b"first"), key)
    store.publish_dir(made(b"second"), key)

    assert store.exists(key)
    assert store.read_bytes(f"{key}/proxy.mp4") == b"first"
    assert store.read_bytes(f"{key}/sub/poster.jpg") == b"poster"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.mov",
        "a%0Ab.mov",
        'it\'s "quoted".mov',
        "🎬.mov",
        "-rf.mov",
        "50% #1?versionId=2&x.mov",
        "*[a]?.mov",
        "a\\b.mov",
    ],
)
def test_any_name_is_a_key(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(name.encode())
    key = store.raw_key(BATCH, f"x{name}x/{name}")

    store.put(tmp_path / name, key)

    assert store.read_bytes(key) == name.encode()
    assert store.size(key) == len(name.encode())
    with store.local(key) as path:
        assert path.read_bytes() == name.encode()


def test_a_key_says_the_day_and_the_batch_and_keeps_the_path() -> None:
    assert Store.raw_key(BATCH, "CARD/PRIVATE/M4ROOT/CLIP/C0001.MP4") == (
        f"raw/2026/11/20/{BATCH}/CARD/PRIVATE/M4ROOT/CLIP/C0001.MP4"
    )
    assert Store.raw_key(BATCH, ".hidden/.clip.mov") == f"raw/2026/11/20/{BATCH}/.hidden/.clip.mov"


def test_names_too_long_are_shortened_and_stay_different() -> None:
    # Each byte that is not UTF-8 takes four when it is escaped.
    first, second = ["\udcff" * 200 + end + ".mov" for end in "ab"]

    keys = [Store.raw_key(BATCH, f"CARD/{name}").rpartition("/")[2] for name in (first, second)]

    assert keys[0] != keys[1]
    assert all(len(key.encode()) <= 255 and key.endswith(".mov") for key in keys)
    long_text = Store.raw_key(BATCH, "é" * 200).rpartition("/")[2]
    assert len(long_text.encode()) <= 255
    assert "�" not in long_text


def test_paths_too_long_for_s3_are_shortened_and_stay_different() -> None:
    keys = [Store.raw_key(BATCH, f"{'d' * 250}/" * 5 + f"{end}/clip.mov") for end in "ab"]

    assert keys[0] != keys[1]
    assert all(len(key.encode()) < 1024 and key.endswith("/clip.mov") for key in keys)


def test_originals_are_read_only(local: Store, clip: Path) -> None:
    local.put(clip, KEY)
    local.put(clip, KEY + "2", move=True)

    for key in (KEY, KEY + "2"):
        assert stat.S_IMODE(Path(local.url(key)).stat().st_mode) == 0o444


def test_a_move_on_the_same_disk_copies_nothing(local: Store, clip: Path) -> None:
    inode = clip.stat().st_ino

    local.put(clip, KEY, move=True)

    assert Path(local.url(KEY)).stat().st_ino == inode
    assert Path(local.url(KEY)).stat().st_nlink == 1


def test_a_move_leaves_the_library_no_file_that_has_another_name(local: Store, clip: Path) -> None:
    os.link(clip, clip.with_name("still mine.mov"))

    local.put(clip, KEY, move=True)
    clip.with_name("still mine.mov").write_bytes(b"edited")

    assert not clip.exists()
    assert local.size(KEY) == 100_000


def test_a_move_that_was_killed_between_its_two_names_is_finished(local: Store, clip: Path) -> None:
    target = Path(local.url(KEY))
    local.put(clip, KEY.replace("clip", "first"))
    os.link(clip, target)

    local.put(clip, KEY, move=True)

    assert not clip.exists()
    assert target.stat().st_nlink == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o444


def test_a_file_that_is_the_kept_copy_itself_is_not_removed(local: Store, clip: Path) -> None:
    local.put(clip, KEY)

    local.put(Path(local.url(KEY)), KEY, move=True)

    assert local.size(KEY) == 100_000


def test_a_move_from_a_folder_that_may_not_be_changed_copies(
    local: Store, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a read-only medium answers.
    monkeypatch.setattr(disk.os, "access", lambda path, mode: False)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == clip:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        unlink(path, missing_ok=missing_ok)

    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", refuse)
    local.put(clip, KEY, move=True)

    assert clip.exists()
    assert local.size(KEY) == 100_000


def test_a_move_to_another_disk_is_a_verified_copy(settings: Settings, clip: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == clip.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    source = memory / f"thatdam-test-{os.getpid()}.mov"
    shutil.copy2(clip, source)
    try:
        store = Store(settings.media_url, settings)
        digest = store.put(source, KEY, move=True)
        assert not source.exists()
    finally:
        source.unlink(missing_ok=True)

    assert store.digest(KEY) == digest == digest_file(clip)
    assert store.modified_ns(KEY) == clip.stat().st_mtime_ns


def test_disks_without_hard_links_work_too(local: Store, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(disk.os, "link", refuse)
    content = clip.read_bytes()
    local.put(clip, KEY)
    local.put(clip, KEY + "2", move=True)

    assert local.read_bytes(KEY) == local.read_bytes(KEY + "2") == content
    assert not clip.exists()
    with pytest.raises(OverwriteError):
        clip.write_bytes(b"other")
        local.put(clip, KEY)


def test_a_copy_that_does_not_read_back_as_it_was_written_is_refused(
    local: Store, clip: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = disk.copy_with_digest

    def on_a_failing_disk(source: Path, target: Path, **options: Any) -> object:
        digest = copy(source, target, **options | {"mode": 0o644})
        with target.open("r+b") as damaged:
            damaged.seek(500)
            damaged.write(b"\0\0\0\0\0\0\0\0")
        return digest

    monkeypatch.setattr(disk, "copy_with_digest", on_a_failing_disk)
    for move in (False, True):
        if move:
            os.link(clip, clip.with_name("forces a copy.mov"))
        with pytest.raises(StoreError, match="does not equal what was written"):
            local.put(clip, KEY, move=move)

    assert clip.exists()
    assert not [name for name in everything_below(settings.home / "media") if not name.startswith(".thatdam-store")]


def test_a_source_that_changes_between_hash_and_move_stays(
    local: Store, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_open = disk.digest_open

    def while_someone_writes(descriptor: int, path: Path, **options: Any) -> object:
        digest = hash_open(descriptor, path, **options)
        with path.open("ab") as growing:
            growing.write(b"more")
        return digest

    monkeypatch.setattr(disk, "digest_open", while_someone_writes)
    with pytest.raises(ChangedError):
        local.put(clip, KEY, move=True)

    assert clip.stat().st_size == 100_004
    assert not local.exists(KEY)


@pytest.mark.parametrize("kind", ["too small a disk", "a limit on file size"])
def test_a_full_disk_stops_the_copy_and_leaves_nothing_of_it(
    tmp_path: Path, clip: Path, kind: str, disk: Callable[..., Path]
) -> None:
    program = (
        "import pathlib, sys\n"
        "from thatdam_pipelines.library.store import Store\n"
        "from thatdam_pipelines.settings import Settings\n"
        "settings = Settings(home=pathlib.Path(sys.argv[1]), media=sys.argv[2], disk_reserve_bytes=0)\n"
        f"Store(settings.media_url, settings).put(pathlib.Path(sys.argv[3]), {KEY!r})\n"
    )
    media = tmp_path / "media"
    limit: Callable[[], None] | None = None
    if kind == "too small a disk":
        disk(media, "64k")
    else:

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "home"), str(media), str(clip)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    left = everything_below(media)

    assert "StoreError" in done.stderr
    assert left == [".thatdam-store"]
    assert clip.stat().st_size == 100_000


def test_a_copy_that_would_eat_the_reserve_is_refused_before_it_begins(settings: Settings, clip: Path) -> None:
    greedy = settings.model_copy(update={"disk_reserve_bytes": 2**60})

    with pytest.raises(StoreError, match="THATDAM_DISK_RESERVE_BYTES"):
        Store(greedy.media_url, greedy).put(clip, KEY)

    Store(greedy.media_url, greedy).put(clip, KEY, move=True)


def test_the_empty_folder_where_the_media_disk_was_is_not_the_store(settings: Settings, clip: Path) -> None:
    media = Path(settings.media_url)
    Store(settings.media_url, settings).put(clip, KEY)
    media.rename(media.with_name("unplugged"))
    media.mkdir()

    store = Store(settings.media_url, settings)

    assert not store.is_online()
    with pytest.raises(OfflineError, match="Mount its disk"):
        store.put(clip, KEY)
    with pytest.raises(OfflineError), store.local(KEY):
        pass
    assert list(media.iterdir()) == []
    media.rmdir()
    media.with_name("unplugged").rename(media)
    assert store.is_online()
    assert store.put(clip, KEY).size_bytes == 100_000


def test_a_store_that_goes_offline_while_it_is_open_is_noticed(settings: Settings, clip: Path) -> None:
    store = Store(settings.media_url, settings)
    store.put(clip, KEY)
    Path(settings.media_url).rename(settings.home / "unplugged")
    Path(settings.media_url).mkdir()

    with pytest.raises(OfflineError):
        store.put(clip, KEY)


def test_an_s3_server_that_does_not_answer_is_offline(settings: Settings, clip: Path) -> None:
    gone = settings.model_copy(
        update={"s3_endpoint": "http://127.0.0.1:9", "s3_key": "k", "s3_secret": "s", "media": "s3://media"}
    )
    store = Store(gone.media_url, gone)

    assert not store.is_online()
    with pytest.raises(OfflineError, match="THATDAM_S3_ENDPOINT"):
        store.put(clip, KEY)


def test_one_process_at_a_time_writes_a_batch_and_leftovers_of_killed_ones_go(settings: Settings, clip: Path) -> None:
    store, other = Store(settings.media_url, settings), Store(settings.media_url, settings)
    store.put(clip, KEY)
    leftover = Path(store.url(KEY)).with_name(disk._part_name("clip.mov"))
    leftover.write_bytes(b"half")

    with store.exclusive(raw_folder(BATCH)):
        assert not leftover.exists()
        with pytest.raises(StoreError, match="another process"), other.exclusive(raw_folder(BATCH)):
            pass

    with other.exclusive(raw_folder(BATCH)):
        pass
    assert store.size(KEY) == 100_000


def test_a_batch_that_stored_nothing_leaves_no_folder(local: Store) -> None:
    with local.exclusive(raw_folder(BATCH)):
        (Path(local.url(raw_folder(BATCH))) / "CARD").mkdir()

    assert not Path(local.url(raw_folder(BATCH))).exists()

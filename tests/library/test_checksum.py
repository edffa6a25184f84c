import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3
from xxhash import xxh3_128

from thatdam_pipelines.errors import ChangedError, MediaError, StoreError
from thatdam_pipelines.library import checksum
from thatdam_pipelines.library.checksum import BLOCK_BYTES, copy_with_digest, digest_file, read_back
from thatdam_pipelines.library.files import escape_name, unescape_name


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 7])
def test_digests_are_those_of_the_whole_content_at_any_size(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "clip.mov"
    path.write_bytes(content)

    digest = digest_file(path)

    assert digest.blake3 == blake3(content).hexdigest()
    assert digest.media_id == digest.blake3[:32]
    assert digest.xxh128 == xxh3_128(content).hexdigest()
    assert digest.size_bytes == size
    assert read_back(path) == digest
    assert copy_with_digest(path, tmp_path / "copy.mov") == digest
    assert (tmp_path / "copy.mov").read_bytes() == content


def test_a_copy_keeps_the_modification_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.mov"
    path.write_bytes(b"frames")
    os.utime(path, ns=(1, 123_456_789_123_456_789))

    copy_with_digest(path, tmp_path / "copy.mov")

    assert (tmp_path / "copy.mov").stat().st_mtime_ns == 123_456_789_123_456_789


def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "clip.mov").write_bytes(b"new")
    (tmp_path / "kept.mov").write_bytes(b"old")

    with pytest.raises(StoreError, match="File exists"):
        copy_with_digest(tmp_path / "clip.mov", tmp_path / "kept.mov")

    assert (tmp_path / "kept.mov").read_bytes() == b"old"


def test_a_symbolic_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "clip.mov").symlink_to(tmp_path / "secret")

    with pytest.raises(MediaError, match="cannot be read"):
        digest_file(tmp_path / "clip.mov")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path, make: object) -> None:
    make(tmp_path / "clip.mov")  # type: ignore[operator]

    with pytest.raises(MediaError, match="not a regular file"):
        digest_file(tmp_path / "clip.mov")


@pytest.mark.parametrize("change", [b"x" * (BLOCK_BYTES + 10), b"x"], ids=["grown", "cut short"])
def test_a_file_that_changes_while_it_is_copied_leaves_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes
) -> None:
    path = tmp_path / "clip.mov"
    path.write_bytes(b"o" * (BLOCK_BYTES + 5))
    read = os.read

    def read_while_someone_writes(descriptor: int, size: int) -> bytes:
        block = read(descriptor, size)
        path.write_bytes(change)
        return block

    monkeypatch.setattr(checksum.os, "read", read_while_someone_writes)
    with pytest.raises(ChangedError, match="changed while it was read"):
        copy_with_digest(path, tmp_path / "copy.mov")

    assert not (tmp_path / "copy.mov").exists()


def test_a_copy_that_does_not_fit_is_removed_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "clip.mov").write_bytes(b"x" * 200_000)
    program = (
        "import sys, pathlib\n"
        "from thatdam_pipelines.library.checksum import copy_with_digest\n"
        "copy_with_digest(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "clip.mov"), str(tmp_path / "copy.mov")],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        check=False,
    )

    assert "StoreError" in done.stderr
    assert "File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mov"]


@pytest.mark.parametrize(
    "name",
    ["clip.mov", "caf\udce9.mov", r"caf\xe9.mov", r"\x5cxff", "\\\udcff", r"back\slash", "é\n'\".mov"],
)
def test_any_name_becomes_text_and_comes_back(name: str) -> None:
    escape_name(name).encode()

    assert unescape_name(escape_name(name)) == name


def test_two_names_never_become_the_same_text() -> None:
    assert escape_name("caf\udce9.mov") != escape_name(r"caf\xe9.mov")


def test_a_copy_keeps_the_attributes_that_its_user_gave_it(tmp_path: Path) -> None:
    source, target = tmp_path / "clip.mov", tmp_path / "copy.mov"
    source.write_bytes(b"footage")
    try:
        os.setxattr(source, "user.xdg.tags", b"beach,red")
    except OSError:
        pytest.skip("this disk keeps no attributes")
    copy_with_digest(source, target, mode=0o444)
    assert os.getxattr(target, "user.xdg.tags") == b"beach,red"

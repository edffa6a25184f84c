"""The reader of manifests takes what the recorder writes, and names what it refuses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from thatdam_capture.manifest import Manifest as WrittenManifest
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.manifests import load_manifest, manifest_name, read_manifest
from thatdam_pipelines.samples.recordings import commit, manifest_of

PATH = Path("/capture/cam1/x.json")


def text(**changes: Any) -> bytes:
    return json.dumps(manifest_of(b"media", **({"file": "x.mkv"} | changes))).encode()


def test_what_the_recorder_writes_is_read_and_what_is_unknown_left_out() -> None:
    written = WrittenManifest.model_validate(manifest_of(b"media", file="x.mkv"))
    read = read_manifest(written.to_json().encode(), PATH)
    assert read.camera.name == "Hero camera" and read.start_utc == written.start_utc
    assert read == read_manifest(text(of_next_year={"anything": [1]}, camera__lens="50 mm"), PATH)


def test_segments_of_a_session_are_chapters_of_one_take_and_of_no_other() -> None:
    first, second = (read_manifest(text(segment_index=index), PATH) for index in (0, 1))
    assert (first.chapter, second.chapter) == (1, 2) and first.take_id == second.take_id
    others = [read_manifest(text(**change), PATH) for change in ({"session_id": "f" * 32}, {"camera__id": "cam2"})]
    assert len({first.take_id, *(other.take_id for other in others)}) == 3


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        text()[:-20],
        b"[1]",
        b"\xff\xfe",
        text(schema="thatdam.capture/2"),
        text(blake3="z" * 64),
        text(bytes=-1),
        text(segment_index=2**40),
        text(start_utc="2026-11-21T10:00:00"),
        text(end_utc="2020-01-01T00:00:00Z"),
        text(duration_s=float("inf")),
        text(frame_rate="25/0"),
        text(camera="cam1"),
        text(camera__name="x" * 100_000),
        text(file="../x.mkv"),
        text(file="y.mkv"),
        text(file="/etc/passwd"),
    ],
)
def test_a_damaged_manifest_is_refused_by_name(damaged: bytes) -> None:
    with pytest.raises(MediaError) as refused:
        read_manifest(damaged, PATH)
    assert refused.value.subject == str(PATH) and "manifest" in refused.value.cause and len(str(refused.value)) < 1000


def test_what_is_too_large_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    manifest = commit(tmp_path, b"media").with_suffix(".json")
    load_manifest(manifest)
    (tmp_path / "large.json").write_bytes(b" " * 2**21)
    (tmp_path / "link.json").symlink_to(manifest)
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("large.json", "link.json", "pipe.json", "nothing.json"):
        with pytest.raises(MediaError):
            load_manifest(tmp_path / name)


def test_only_what_the_recorder_writes_has_a_manifest() -> None:
    assert manifest_name("cam1/2026/x.mkv") == "cam1/2026/x.json"
    assert manifest_name("x.mp4") is None and manifest_name("x.mkv.part") is None


def test_the_pipelines_import_nothing_of_the_recorder() -> None:
    sources = (Path(__file__).parents[2] / "thatdam_pipelines").rglob("*.py")
    assert not [path for path in sources if "import thatdam_capture" in path.read_text("utf-8")
                or "from thatdam_capture" in path.read_text("utf-8")]  # fmt: skip

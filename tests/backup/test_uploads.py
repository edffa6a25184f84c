"""Uploads to S3 in parts: cut off anywhere they go on from the parts that arrived, at two servers of different make."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import S3_SERVERS
from thatdam_pipelines.backup import bucket_place, remote_place
from thatdam_pipelines.backup.bucket_place import BucketPlace
from thatdam_pipelines.backup.pace import Pace
from thatdam_pipelines.errors import ChangedError, MediaError, OfflineError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.settings import Settings

pytestmark = pytest.mark.parametrize("s3_server", S3_SERVERS, indirect=True)
PART = 5 * 2**20
"""The smallest part that S3 takes."""
KEY = "objects/ab/abcd"


class PowerCut(BaseException):
    """The process ends here."""


class Counting(BucketPlace):
    """Notes the parts that it sends; the power is cut before part ``dies_at``."""

    part_bytes = PART
    pause_s = 0.01
    dies_at = 0

    def __init__(self, settings: Settings) -> None:
        super().__init__(str(settings.media), settings, Pace(None))
        self.numbers: list[int] = []

    def send_part(self, key: str, upload_id: str, number: int, content: bytes) -> str:
        if number == self.dies_at:
            raise PowerCut
        self.numbers.append(number)
        return super().send_part(key, upload_id, number, content)

    def unfinished(self) -> int:
        return len(list(self._uploads(self._object(""))))

    def content(self) -> bytes:
        return b"".join(self.read(KEY))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file of four parts and a bit."""
    path = tmp_path / "clip.mov"
    path.write_bytes(os.urandom(4 * PART + 12_345))
    return path


@pytest.fixture
def place(s3_settings: Settings) -> Counting:
    return Counting(s3_settings)


def cut_off(settings: Settings, clip: Path, at: int) -> None:
    """Send the clip until the power is cut before that part."""
    dying = Counting(settings)
    dying.dies_at = at
    with pytest.raises(PowerCut):
        dying.add(clip, KEY)


@contextlib.contextmanager
def refused(monkeypatch: pytest.MonkeyPatch, request: str, error: type[OSError], *said: Any) -> Iterator[None]:
    """The server does not do such a request."""
    ask = BucketPlace._ask

    def answered(self: BucketPlace, key: str, name: str, *arguments: Any, **more: Any) -> Any:
        if arguments[:1] == (request,):

            def refuse() -> Any:
                raise error(*said)

            return self._trying(key, refuse)
        return ask(self, key, name, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(BucketPlace, "_ask", answered)
        yield


def test_an_upload_that_was_cut_off_goes_on_from_the_parts_that_arrived(
    s3_settings: Settings, place: Counting, clip: Path
) -> None:
    cut_off(s3_settings, clip, at=4)
    assert place.size(KEY) is None, "what is half sent is no object"
    assert place.add(clip, KEY, digest_file(clip).blake3) == digest_file(clip)
    assert place.numbers == [4, 5]
    assert place.content() == clip.read_bytes() and place.unfinished() == 0


def test_nothing_is_sent_again_when_only_the_end_was_missing(
    s3_settings: Settings, place: Counting, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        refused(monkeypatch, "complete_multipart_upload", OSError, 5, "the network is cut"),
        pytest.raises(OfflineError),
    ):
        place.add(clip, KEY)
    again = Counting(s3_settings)
    again.add(clip, KEY)
    assert again.numbers == [] and again.content() == clip.read_bytes()


def test_parts_of_another_content_are_never_taken_for_those_of_this_one(
    s3_settings: Settings, place: Counting, clip: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.mov"
    other.write_bytes(clip.read_bytes()[:PART] + os.urandom(4 * PART))
    cut_off(s3_settings, other, at=4)
    place.add(clip, KEY)
    assert place.numbers == [1, 2, 3, 4, 5]
    assert place.content() == clip.read_bytes() and place.unfinished() == 0


def test_a_source_that_is_damaged_leaves_neither_object_nor_parts(place: Counting, clip: Path) -> None:
    with pytest.raises(MediaError, match="damaged"):
        place.add(clip, KEY, "0" * 64)
    assert place.size(KEY) is None and place.unfinished() == 0


def test_a_source_that_changes_while_it_is_sent_leaves_neither_object_nor_parts(
    place: Counting, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Counting.send_part

    def sent_while_it_grows(self: Counting, key: str, upload_id: str, number: int, content: bytes) -> str:
        with clip.open("ab") as file:
            file.write(b"more")
        return send(self, key, upload_id, number, content)

    monkeypatch.setattr(Counting, "send_part", sent_while_it_grows)
    with pytest.raises(ChangedError):
        place.add(clip, KEY)
    assert place.size(KEY) is None and place.unfinished() == 0


def test_two_that_send_the_same_content_at_once_both_end_well(
    s3_settings: Settings, place: Counting, clip: Path
) -> None:
    cut_off(s3_settings, clip, at=3)
    ended: list[object] = []

    def send() -> None:
        ended.append(Counting(s3_settings).add(clip, KEY))

    both = [threading.Thread(target=send) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert ended == [digest_file(clip)] * 2 and place.content() == clip.read_bytes()


def test_an_upload_is_given_up_when_no_part_came_for_a_week_and_not_before(
    s3_settings: Settings, place: Counting, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(s3_settings, clip, at=3)
    assert place.clean() == 0 and place.unfinished() == 1
    later = datetime.now(UTC).timestamp() + bucket_place.STALE_S + 60
    monkeypatch.setattr(bucket_place.time, "time", lambda: later)
    assert place.clean(dry_run=True) == 1 and place.unfinished() == 1
    assert place.clean() == 1 and place.unfinished() == 0


@pytest.mark.parametrize("error", [(PermissionError, "not for you"), (OSError, 38, "not implemented")])
def test_where_the_server_lists_no_uploads_they_begin_anew(
    s3_settings: Settings, place: Counting, clip: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    cut_off(s3_settings, clip, at=3)
    with refused(monkeypatch, "list_multipart_uploads", *error):
        assert place.add(clip, KEY) == digest_file(clip) and place.clean() == 0
    assert place.numbers == [1, 2, 3, 4, 5] and place.content() == clip.read_bytes()


def test_a_server_that_takes_no_more_bytes_is_told_and_not_waited_for_without_end(
    s3_settings: Settings, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_place, "SLOWEST_BYTES_PER_S", 2**40)
    monkeypatch.setattr(Counting, "time_limit_s", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(OfflineError, match="it took too long"):
            Counting(s3_settings.model_copy(update={"s3_endpoint": endpoint})).send_part(KEY, "1", 1, clip.read_bytes())

"""A backup target in an S3 bucket: an upload that was cut off goes on from the parts that arrived."""

import errno
import math
import os
import time
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

from thatdam_pipelines.backup.remote_place import PART_BYTES, RemotePlace
from thatdam_pipelines.backup.sound import require_content
from thatdam_pipelines.errors import MediaError, OfflineError
from thatdam_pipelines.library.checksum import Digest, digest_open
from thatdam_pipelines.library.s3 import access

STALE_S = 7 * 86_400.0
"""An upload to which no part came for so long is given up."""
_MOST_PARTS = 10_000
_MIB = 2**20
_BEGINNINGS = 3


class BucketPlace(RemotePlace):
    """Objects below a prefix of a bucket. Safe to use from several threads and processes."""

    part_bytes = PART_BYTES

    def exists(self) -> bool:
        """Whether the bucket is there."""
        self._s3("list_objects_v2", "", MaxKeys=1)
        return True

    def create(self) -> None:
        """Nothing to do: a bucket is never made, and folders need no making."""

    def clean(self, *, dry_run: bool = False) -> int:
        """Give up the uploads, of any machine, to which no part came for a week: a server keeps and bills their parts.

        Returns:
            How many.
        """
        stale = 0
        for upload in list(self._uploads(self._object(""))):
            parts = self._parts(upload["Key"], upload["UploadId"])
            last = max((part["LastModified"] for part in parts), default=upload["Initiated"])
            if time.time() - last.timestamp() > STALE_S:
                stale += 1
                if not dry_run:
                    self._give_up(upload["Key"], upload["UploadId"])
        return stale

    def send_part(self, key: str, upload_id: str, number: int, content: bytes) -> str:
        """Send a part of an upload, within the target's bandwidth.

        Returns:
            Its ETag.

        Raises:
            FileNotFoundError: The server does not know the upload any more.
            OfflineError: The server does not answer as it should, even when asked again.
        """
        self._pace.wait(len(content))
        told = {"Key": self._object(key), "UploadId": upload_id, "PartNumber": number, "Body": content}
        return str(self._s3("upload_part", key, size_bytes=len(content), **told)["ETag"])

    def _send_large(self, descriptor: int, source: Path, key: str, blake3: str | None) -> Digest:
        for _ in range(_BEGINNINGS):
            os.lseek(descriptor, 0, os.SEEK_SET)
            try:
                return self._send_parts(descriptor, source, key, blake3)
            except OtherParts:
                continue
            except (FileNotFoundError, OfflineError) as error:
                # Somebody gave the upload up, or ended it: another process that sends the same content, or this one,
                # when the answer was lost. Some servers then call it an error of their own.
                if self.size(key) == os.fstat(descriptor).st_size:
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    return digest_open(descriptor, source)
                if isinstance(error, OfflineError):
                    raise
        raise OfflineError(self._url(key), "the server forgets the parts that it was sent", "Run it again.")

    def _send_parts(self, descriptor: int, source: Path, key: str, blake3: str | None) -> Digest:
        name = self._object(key)
        upload_id, there = self._unfinished(name)
        if not upload_id:
            upload_id = str(self._s3("create_multipart_upload", key, Key=name)["UploadId"])
        # The same for whoever sends this content.
        size = max(self.part_bytes, math.ceil(os.fstat(descriptor).st_size / _MOST_PARTS / _MIB) * _MIB)
        parts = Parts(self, key, upload_id, there, size)
        try:
            digest = digest_open(descriptor, source, parts.write)
            require_content(digest, blake3, source)
            parts.end()
            told = {"Key": name, "UploadId": upload_id, "MultipartUpload": {"Parts": parts.sent}}
            self._s3("complete_multipart_upload", key, size_bytes=size, **told)
        except (MediaError, OtherParts):
            self._give_up(name, upload_id)
            raise
        except OfflineError as error:
            # What the server refuses of an old upload now it would refuse every time.
            if there and getattr(error.__cause__, "errno", None) in (errno.EINVAL, errno.ENOSYS):
                self._give_up(name, upload_id)
            raise
        return digest

    def _unfinished(self, name: str) -> tuple[str, dict[int, tuple[int, str]]]:
        """The upload of an object that got furthest, and its parts: size in bytes and ETag by number."""
        found: tuple[str, dict[int, tuple[int, str]]] = ("", {})
        for upload in [one for one in self._uploads(name) if one["Key"] == name]:
            parts = self._parts(name, upload["UploadId"])
            there = {part["PartNumber"]: (int(part["Size"]), str(part["ETag"])) for part in parts}
            if len(there) >= len(found[1]):
                found = (str(upload["UploadId"]), there)
        return found

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        """The uploads that were begun and not ended; none where the server does not list them, or not for us."""
        more: dict[str, Any] = {}
        while True:
            try:
                page = self._s3("list_multipart_uploads", prefix, Prefix=prefix, **more)
            except FileNotFoundError:
                # What rclone answers where there are none.
                return
            except OfflineError as error:
                if isinstance(error.__cause__, PermissionError) or getattr(error.__cause__, "errno", 0) == errno.ENOSYS:
                    return
                raise
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _parts(self, name: str, upload_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        marker = 0
        while True:
            try:
                page = self._s3("list_parts", name, Key=name, UploadId=upload_id, PartNumberMarker=marker)
            except FileNotFoundError:
                return []
            found += page.get("Parts", ())
            if not page.get("IsTruncated"):
                return found
            marker = int(page["NextPartNumberMarker"])

    def _give_up(self, name: str, upload_id: str) -> None:
        try:
            self._s3("abort_multipart_upload", name, Key=name, UploadId=upload_id)
        except (FileNotFoundError, OfflineError):
            # It is gone already; or it will be found stale.
            return

    def _s3(self, request: str, key: str, *, size_bytes: int = 0, **told: Any) -> dict[str, Any]:
        bucket = self._path().partition("/")[0]
        answer: dict[str, Any] = self._ask(key, "call_s3", request, Bucket=bucket, size_bytes=size_bytes, **told)
        return answer

    def _object(self, key: str) -> str:
        """A key within the bucket."""
        prefix = self._path().partition("/")[2]
        return f"{prefix}/{key}" if prefix else key

    def _options(self) -> dict[str, Any]:
        return access(self._settings, read_timeout_s=self.time_limit_s, attempts=0)


class OtherParts(Exception):
    """What the server has of an upload is not of this content."""


class Parts:
    """Cuts a stream into parts and sends those that the server does not have.

    Args:
        there: Size in bytes and ETag of the parts that it has, by number from 1.
        part_bytes: Size of every part but the last.
    """

    def __init__(
        self, place: BucketPlace, key: str, upload_id: str, there: dict[int, tuple[int, str]], part_bytes: int
    ) -> None:
        self._place = place
        self._key = key
        self._upload_id = upload_id
        self._there = there
        self._part_bytes = part_bytes
        self._waiting = bytearray()
        self.sent: list[dict[str, Any]] = []
        """Number and ETag of every part, as the server wants them to end the upload."""

    def write(self, block: bytes) -> None:
        """Take more of the stream.

        Raises:
            OtherParts: The server has something else as one of the parts.
        """
        self._waiting += block
        while len(self._waiting) >= self._part_bytes:
            self._send(bytes(self._waiting[: self._part_bytes]))
            del self._waiting[: self._part_bytes]

    def end(self) -> None:
        """Send what is left."""
        if self._waiting:
            self._send(bytes(self._waiting))
            self._waiting.clear()

    def _send(self, content: bytes) -> None:
        number = len(self.sent) + 1
        if number in self._there:
            size, tag = self._there[number]
            # The ETag of a part is its MD5, except where the server encrypts with a key service: then all is sent anew.
            if size != len(content) or tag.strip('"') != md5(content, usedforsecurity=False).hexdigest():
                raise OtherParts(number)
        else:
            tag = self._place.send_part(self._key, self._upload_id, number, content)
        self.sent.append({"PartNumber": number, "ETag": tag})

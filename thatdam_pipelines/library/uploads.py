"""Uploads: files that grow piece by piece in a hidden folder, and arrive as a drop does when they are whole."""

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from thatdam_pipelines.errors import UnknownUploadError, UploadError
from thatdam_pipelines.library.files import fsync_dir, replacing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watch import is_ignored
from thatdam_pipelines.settings import Settings

_ID = re.compile(r"[0-9a-f]{32}")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ -]{0,63}")
_DEPTH = 12
_MOST = 10_000
"""Most unfinished uploads at once."""


@dataclass(frozen=True)
class Upload:
    """A file that is being uploaded.

    Args:
        rel_path: Where it will stand below the folder of its group.
        group: What it arrives together with.
        length: Its size in bytes when it is whole.
        offset: Bytes that are here.
        by: Who uploads it.
    """

    upload_id: str
    rel_path: str
    group: str
    length: int
    offset: int
    by: str


class Uploads:
    """The uploads of one library. Safe to use from several threads and processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.uploads_dir

    def create(self, rel_path: str, group: str | None, length: int, by: str) -> Upload:
        """Begin an upload.

        Args:
            rel_path: Name, with the folders it was in; data of a stranger, so what is no plain name is refused.
            group: Uploads of one group arrive as one batch; None: it arrives alone.

        Raises:
            UploadError: A name is none, the file is too large, or the disk would be too full.
        """
        self._remove_abandoned()
        upload_id = secrets.token_hex(16)
        upload = Upload(upload_id, _plain(rel_path), _group(group or upload_id), length, 0, by)
        if length > self._settings.upload_max_bytes:
            cause = f"{length} bytes are more than the {self._settings.upload_max_bytes} that are allowed"
            raise UploadError(rel_path, cause, "Copy it into the incoming folder.")
        self._folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free - length < self._settings.disk_reserve_bytes:
            raise UploadError(rel_path, "the disk would be too full", "Free some space, or upload less.")
        if len(self.all()) >= _MOST:
            raise UploadError(rel_path, f"there are {_MOST} unfinished uploads", "Finish or remove some.")
        (self._folder / upload_id).touch(exist_ok=False)
        with replacing(self._note(upload_id)) as part:
            part.write_text(json.dumps(asdict(upload)))
        return upload

    def get(self, upload_id: str) -> Upload:
        """An upload as it is now.

        Raises:
            UnknownUploadError: There is none of that id.
        """
        try:
            if not _ID.fullmatch(upload_id):
                raise FileNotFoundError
            noted = json.loads(self._note(upload_id).read_text())
            return Upload(**noted | {"offset": (self._folder / upload_id).stat().st_size})
        except FileNotFoundError:
            raise UnknownUploadError(upload_id, "there is no such upload", "Begin it anew.") from None

    def all(self) -> list[Upload]:
        """The unfinished uploads, and those that wait for their group."""
        found = []
        for note in sorted(self._folder.glob("*.json")):
            try:
                found.append(self.get(note.stem))
            except UnknownUploadError:
                # It was finished or removed just now.
                continue
        return found

    @contextmanager
    def appending(self, upload_id: str, offset: int) -> Iterator[IO[bytes]]:
        """The file, open to be written on from ``offset``; what was written is durable afterwards, whatever happened.

        Raises:
            UploadError: There is none of that id, it has another size, or somebody else writes to it.
        """
        upload = self.get(upload_id)
        with (self._folder / upload_id).open("ab") as growing:
            try:
                fcntl.flock(growing, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadError(upload_id, "another request writes to it", "Wait for it to end.") from None
            if growing.tell() != offset:
                cause = f"{growing.tell()} bytes are here, and {offset} were said to be"
                raise UploadError(upload_id, cause, "Ask with HEAD where to go on.")
            try:
                yield growing
            finally:
                growing.flush()
                if growing.tell() > upload.length:
                    growing.truncate(upload.length)
                os.fsync(growing.fileno())

    def remove(self, upload_id: str) -> None:
        """Give an upload up.

        Raises:
            UploadError: There is none of that id.
        """
        self.get(upload_id)
        self._forget(upload_id)

    def arrive(self, library: Library, group: str) -> list[str]:
        """Let the whole uploads of a group arrive in the incoming folder, and claim them for batches.

        May be called again after anything; a name that is taken there is told apart by a number.

        Returns:
            The batches that hold them.

        Raises:
            UploadError: The group has no upload, or one that is not whole yet.
        """
        from thatdam_pipelines.media.claim import claim_paths

        uploads = [upload for upload in self.all() if upload.group == _group(group)]
        if not uploads:
            raise UploadError(group, "nothing was uploaded for it", "Upload files first.")
        if partial := [upload.rel_path for upload in uploads if upload.offset < upload.length]:
            raise UploadError(partial[0], "it is not whole yet", "Go on with it, or remove it.")
        folder = self._settings.incoming_dir / f"upload-{group}"
        arrived = [self._place(upload, folder) for upload in uploads]
        return claim_paths(library, arrived, self._settings.incoming_mode)

    def _place(self, upload: Upload, folder: Path) -> Path:
        target = folder / upload.rel_path
        target.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            name = target if number == 1 else target.with_name(f"{target.stem} ({number}){target.suffix}")
            try:
                # Unlike a rename, a link never replaces what is there.
                name.hardlink_to(self._folder / upload.upload_id)
            except FileExistsError:
                continue
            fsync_dir(name.parent)
            self._forget(upload.upload_id)
            return name
        raise UploadError(upload.rel_path, "its name is taken a thousand times", "Give it another name.")

    def _remove_abandoned(self) -> None:
        before = time.time() - self._settings.upload_days * 86_400
        for upload in self.all():
            if (self._folder / upload.upload_id).stat().st_mtime < before:
                self._forget(upload.upload_id)

    def _forget(self, upload_id: str) -> None:
        self._note(upload_id).unlink(missing_ok=True)
        (self._folder / upload_id).unlink(missing_ok=True)

    def _note(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.json"


def _plain(rel_path: str) -> str:
    """A path of plain names below a folder.

    Raises:
        UploadError: It is none.
    """
    names = rel_path.replace("\\", "/").split("/")
    for name in names:
        plain = name.isprintable() and name.strip() == name and name not in ("", ".", "..") and ":" not in name
        if not plain or len(name.encode("utf-8", "replace")) > 200 or is_ignored(name):
            raise UploadError(rel_path[:200], "this is no name that files are kept under", "Give it a plain name.")
    if len(names) > _DEPTH:
        raise UploadError(rel_path[:200], f"it is more than {_DEPTH} folders deep", "Upload a folder further down.")
    return "/".join(names)


def _group(group: str) -> str:
    if not _GROUP.fullmatch(group):
        raise UploadError(group[:100], "this is no name of a group", "Use letters, digits, spaces, - and _.")
    return group

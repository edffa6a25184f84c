"""Backup targets: where snapshots are kept, each known by an identity that it carries itself."""

import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from thatdam_pipelines.backup.bucket_place import BucketPlace
from thatdam_pipelines.backup.disk_place import DiskPlace
from thatdam_pipelines.backup.encrypted_place import EncryptedPlace
from thatdam_pipelines.backup.keys import Key, read_key
from thatdam_pipelines.backup.pace import Pace
from thatdam_pipelines.backup.place import Place
from thatdam_pipelines.backup.remote_place import RemotePlace
from thatdam_pipelines.errors import DamagedError, OfflineError, SettingsError, StoreError, ThatdamError
from thatdam_pipelines.library.checksum import Digest, Hasher
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.settings import BackupTarget, Settings

MARKER = "thatdam-backup.json"
SPARE_MARKER = "thatdam-backup.spare.json"
"""The same once more: one damaged file must not make a target unknown."""
FORMAT = 2
"""That of encrypted targets; others are 1."""


class Target:
    """An open target that was found to be itself.

    Args:
        root: Where it is. Its marker is read there as it is.
        place: The same, or the same behind encryption.
        target_id: Identity, as the target's marker has it.
    """

    def __init__(self, wanted: BackupTarget, root: Place, place: Place, target_id: str) -> None:
        self.wanted = wanted
        self.name = wanted.name
        self.place = place
        self.target_id = target_id
        self._root = root

    @property
    def is_local(self) -> bool:
        return isinstance(self._root, DiskPlace)

    @property
    def volume(self) -> str:
        """What it shares its fate with: as set, or its disk, or its server."""
        if self.wanted.volume:
            return self.wanted.volume
        if isinstance(self._root, DiskPlace):
            return disk_of(self._root.root)
        return self.place.url.partition("://")[2].partition("/")[0]

    @property
    def offsite(self) -> bool:
        return not self.is_local if self.wanted.offsite is None else self.wanted.offsite

    def require_same(self) -> None:
        """Make sure that what is there is still this target, and not another disk or an empty folder.

        Raises:
            OfflineError: It is not.
        """
        found = _read_marker(self._root)
        if found is None:
            raise _absent(self._root)
        if found.target_id != self.target_id:
            raise _another(self.name, self.place.url, found.target_id)

    def objects(self, prefix: str) -> dict[str, int]:
        """What is kept of the contents whose BLAKE3 begins with one or two digits: bytes that each takes, by BLAKE3."""
        folders = [f"{prefix}{digit}" for digit in "0123456789abcdef"] if len(prefix) == 1 else [prefix]
        return {name: size for folder in folders for name, size, _ in self.place.list(f"objects/{folder}")}

    def digest(self, blake3: str) -> Digest | None:
        """The checksums of an object, read back whole; None when there is none.

        Raises:
            OfflineError: The target cannot be reached.
            StoreError: The object cannot be read: a disk's error, or encryption shows that it is damaged.
        """
        hasher = Hasher()
        try:
            for block in self.place.read(object_key(blake3)):
                hasher.update(block)
        except FileNotFoundError:
            return None
        return hasher.digest()

    def holds(self, blake3: str) -> bool:
        """Whether the content is there, read back whole and found to be good.

        Raises:
            OfflineError: The target cannot be reached.
            StoreError: The object cannot be read.
        """
        try:
            found = self.digest(blake3)
        except DamagedError:
            return False
        return found is not None and found.blake3 == blake3

    def set_aside(self, blake3: str) -> None:
        """Take a damaged object out of the way; it is kept for whoever wants to look at it."""
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        self.place.move(object_key(blake3), f"damaged/{blake3}.{now}.{secrets.token_hex(2)}")


def object_key(blake3: str) -> str:
    """Where the content with this BLAKE3 is kept: ``objects/<ab>/<blake3>``."""
    return f"objects/{blake3[:2]}/{blake3}"


def target_setting(name: str) -> str:
    """Key under which the ledger keeps the identity of the target of a name."""
    return f"backup_target:{name}"


def open_target(
    settings: Settings, wanted: BackupTarget, ledger: Ledger | None = None, *, create: bool = False
) -> Target:
    """Open a target and make sure that it is the one it was before.

    Args:
        ledger: Knows which identity belongs to the name; None: whatever is there will do.
        create: Begin an empty folder that was never used as a target, and mend the identity of one that was.

    Raises:
        OfflineError: It cannot be reached, or something else is there: an empty folder, another disk.
        SettingsError: It is encrypted and the key is missing or another; or it is not, and a key is set.
        StoreError: It does not work.
    """
    root = _place(settings, wanted)
    key = read_key(wanted.key_file) if wanted.key_file is not None else None
    setting = target_setting(wanted.name)
    known = ledger.get_setting(setting) if ledger is not None else None
    if create and known is None:
        _begin(root, key)
    found = _read_marker(root) if root.exists() else None
    if found is None:
        raise _absent(root)
    if known is not None and found.target_id != known:
        raise _another(wanted.name, root.url, found.target_id)
    _require_key(wanted, found, key)
    if known is None and ledger is not None:
        ledger.set_setting(setting, found.target_id)
    if create:
        _mend_marker(root)
    place = EncryptedPlace(root, key, settings.work_dir / "encrypted") if key is not None else root
    return Target(wanted, root, place, found.target_id)


def target_named(settings: Settings, name: str) -> BackupTarget:
    """The target of the settings with this name.

    Raises:
        SettingsError: There is none.
    """
    for target in settings.backup_targets:
        if target.name == name:
            return target
    names = ", ".join(target.name for target in settings.backup_targets) or "none"
    raise SettingsError(name, f"there is no such backup target; there are: {names}", "See docs/backup.md.")


def disk_of(path: Path) -> str:
    """The disk that a path is on, or would be, for telling whether two are on the same."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    # The file system's own id stays when the machine starts again; not every file system has one.
    return f"disk:{os.statvfs(there).f_fsid or there.stat().st_dev:x}"


def _place(settings: Settings, wanted: BackupTarget) -> Place:
    pace = Pace(wanted.bandwidth_bytes_per_s)
    if wanted.url.startswith("file:"):
        return DiskPlace(Path(unquote(urlsplit(wanted.url).path)), pace)
    if "://" not in wanted.url:
        return DiskPlace(Path(wanted.url), pace)
    return (BucketPlace if wanted.url.startswith("s3://") else RemotePlace)(wanted.url, settings, pace)


@dataclass(frozen=True)
class _Marker:
    """What a target says of itself in plain text.

    Args:
        encrypted_for: Public key of an encrypted target, ``age1...``; None when it is not encrypted.
    """

    target_id: str
    encrypted_for: str | None


def _begin(place: Place, key: Key | None) -> None:
    if not place.exists():
        place.create()
    if _read_marker(place) is not None:
        return
    if not place.is_empty():
        raise StoreError(
            place.url, "it has other files in it and is no backup target", "Name an empty folder, or one below it."
        )
    marker: dict[str, Any] = {"thatdam": "backup target", "format": 1, "target_id": secrets.token_hex(16)}
    if key is not None:
        marker |= {"format": FORMAT, "encrypted_for": key.public}
    text = json.dumps(marker | {"created_utc": datetime.now(UTC).isoformat()}, indent=2).encode()
    for name in (SPARE_MARKER, MARKER):
        place.write(name, text)


def _mend_marker(place: Place) -> None:
    """Have the spare say what the identity says, or the other way round where that is damaged or missing."""
    texts = {name: _text_of(place, name) for name in (MARKER, SPARE_MARKER)}
    whole = next(text for text in texts.values() if _is_whole(place, text))
    for name, text in texts.items():
        if text != whole:
            place.write(name, whole)


def _read_marker(place: Place) -> _Marker | None:
    """What the target says of itself; its spare is asked where that is damaged or missing."""
    try:
        text = _text_of(place, MARKER)
    except StoreError:
        # A bad sector. Nothing is written over it: it may be an error that passes.
        text = _text_of(place, SPARE_MARKER)
        if not _is_whole(place, text):
            raise
    if not _is_whole(place, text):
        text = _text_of(place, SPARE_MARKER) or text
    return _parsed(place, text) if text else None


def _text_of(place: Place, name: str) -> bytes:
    try:
        return b"".join(place.read(name))
    except FileNotFoundError:
        return b""


def _is_whole(place: Place, text: bytes) -> bool:
    with contextlib.suppress(DamagedError):
        return bool(_parsed(place, text))
    return False


def _parsed(place: Place, text: bytes) -> _Marker:
    try:
        marker = json.loads(text)
        found, version = _Marker(str(marker["target_id"]), marker.get("encrypted_for")), int(marker["format"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cause = f"the identity of the target is damaged, and so is its spare ({error})"
        raise DamagedError(f"{place.url}/{MARKER}", cause, "Put its text back; see docs/backup.md.") from error
    if version > FORMAT:
        raise StoreError(place.url, "it was written by a newer thatdam", "Update thatdam.")
    return found


def _require_key(wanted: BackupTarget, marker: _Marker, key: Key | None) -> None:
    if marker.encrypted_for == (key.public if key is not None else None):
        return
    if marker.encrypted_for is None:
        cause = "it is not encrypted, and would be in part if the key of its settings were used"
        next_step = "Name an empty folder to begin an encrypted target, or take key_file out of its settings."
    else:
        given = "no key is given" if key is None else f"the key in {wanted.key_file} is {key.public}"
        cause = f"it is encrypted for the key {marker.encrypted_for}, and {given}: nothing in it can be read"
        next_step = "Set the file of that key as key_file, or give it with --key; see docs/backup.md."
    raise SettingsError(f"backup target {wanted.name}", cause, next_step)


def _absent(place: Place) -> ThatdamError:
    if place.exists() and any(place.list("snapshots")):
        cause = "snapshots are there, but the identity of the target and its spare are lost"
        return DamagedError(f"{place.url}/{MARKER}", cause, "Put its text back; see docs/backup.md.")
    cause = "the backup target is not there: no identity is found at its place"
    return OfflineError(place.url, cause, "Mount its disk or start its server, then run it again.")


def _another(name: str, url: str, found: str) -> OfflineError:
    cause = f"another backup target ({found[:8]}) is at the place of {name}"
    return OfflineError(url, cause, "Mount the right disk, or give this one a name of its own in the settings.")

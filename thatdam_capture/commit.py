"""From ``.part`` into the store: a segment is either all there, with a manifest that is true, or not there.

Order: media on disk and hashed, intent (the manifest beside the part file) on disk, media renamed, manifest renamed
last. Whoever looks for manifests never sees half a segment; whoever finds an intent can finish.
"""

import os
from pathlib import Path

import blake3

from thatdam_capture.atomic import make_folder, rename_new, replace_text, sync_folder
from thatdam_capture.errors import SegmentError
from thatdam_capture.manifest import Manifest, read_manifest
from thatdam_capture.store import Store

BLOCK = 4 * 2**20


def digest(path: Path) -> tuple[int, str]:
    """Size and BLAKE3 of a file whose content is then on disk."""
    state = blake3.blake3()
    size = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
            size += len(block)
        os.fsync(file.fileno())
    return size, state.hexdigest()


def write_intent(part: Path, manifest: Manifest) -> Path:
    """Say what a part file is to become; from here on a restart finishes the commit."""
    intent = part.with_suffix(".json")
    replace_text(intent, manifest.to_json())
    return intent


def finish(store: Store, intent: Path) -> Manifest:
    """Carry out an intent, from whatever point it was left at.

    Raises:
        SegmentError: the media is neither in the part folder nor in the store.
        FileExistsError: something else stands in its place.
    """
    manifest = read_manifest(intent)
    part = intent.with_suffix(".mkv")
    media = store.media_path(manifest)
    make_folder(media.parent, store.root)
    if part.exists():
        rename_new(part, media)
    elif not media.exists():
        raise SegmentError(f"{part.name} of an intent is gone", "It is set aside")
    final = store.manifest_path(manifest)
    intent.replace(final)
    sync_folder(final.parent)
    sync_folder(intent.parent)
    return manifest


def set_aside(store: Store, path: Path) -> Path | None:
    """Move something that cannot be committed out of the way; only what is empty is deleted.

    Returns:
        Where it is now; none when it was empty.
    """
    if path.stat().st_size == 0:
        path.unlink()
        return None
    folder = store.aside / path.parent.name
    make_folder(folder, store.root)
    target = folder / path.name
    number = 1
    while target.exists():
        number += 1
        target = folder / f"{path.stem}-{number}{path.suffix}"
    rename_new(path, target)
    return target

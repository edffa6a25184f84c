"""Manifests of the recorder: found beside segments as they are taken, kept with them, and read back for their facts."""

import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.arrivals import Batch, KnownFile
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.manifests import Manifest, manifest_bytes, manifest_name, read_manifest
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.library.watch import plain_path

KEPT_SUFFIX = ".manifest.json"
"""Ending of a manifest's key in the store, after the whole name of its segment: no file that came is named so."""


@dataclass(frozen=True)
class Recorded:
    """A manifest and where it is kept: its key in the store, or its path (escaped) where the segment stays outside."""

    manifest: Manifest
    path: str


class ManifestsBeside:
    """Finds the manifests of a batch's segments.

    In the recorder's own folder every file has one. Anywhere else a file that stands beside its manifest was recorded
    too: on a machine without pipelines, and brought here like any other footage.
    """

    def __init__(self, library: Library, batch: Batch) -> None:
        self._library = library
        self._batch = batch
        self._is_due = batch.root == plain_path(library.settings.capture_dir)

    def find(self, file: KnownFile) -> Recorded | None:
        """The manifest of a file, kept in the store from now on unless its file stays outside; None when it has none.

        Raises:
            MediaError: The file is in the recorder's folder and its manifest is missing or damaged.
            OfflineError: The store cannot be reached.
            StoreError: The manifest cannot be kept.
        """
        beside = manifest_name(file.rel_path)
        if beside is None:
            return None
        source = Path(file.root, beside)
        key = self._library.store.raw_key(self._batch.batch_id, file.rel_path + KEPT_SUFFIX)
        stays = self._batch.mode == "reference"
        is_kept = not stays and self._library.store.size(key) is not None
        if not is_kept and not os.path.lexists(source):
            if self._is_due:
                raise MediaError(source, "the manifest is not there any more", "Put it back, then retry.")
            return None
        try:
            text = self._library.store.read_bytes(key) if is_kept else manifest_bytes(source)
            manifest = read_manifest(text, source)
        except MediaError:
            if self._is_due:
                raise
            return None
        if not stays and not is_kept:
            self._library.store.put(source, key)
        return Recorded(manifest, escape_name(str(source)) if stays else key)


def recorded(library: Library, batch_id: str) -> dict[str, Manifest]:
    """The manifests of the segments of a batch, by media_id.

    Raises:
        MediaError: One that was left by reference cannot be read any more.
        OfflineError: The store cannot be reached.
        StoreError: One is missing from the store.
    """
    places = library.tables.read(LOCATIONS, batch_id).filter(pl.col("manifest_path").is_not_null())
    found = {}
    for place in places.iter_rows(named=True):
        path = place["manifest_path"]
        text = library.store.read_bytes(path) if place["in_store"] else manifest_bytes(Path(unescape_name(path)))
        beside = manifest_name(place["source_path"]) or path
        found[place["media_id"]] = read_manifest(text, Path(unescape_name(beside)))
    return found

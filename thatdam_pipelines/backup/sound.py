"""Whether a file still is what it was proven to be."""

from pathlib import Path

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.checksum import Digest


def require_content(digest: Digest, blake3: str | None, path: Path) -> None:
    """Refuse a file whose content is not the one it is known by.

    Raises:
        MediaError: It is another.
    """
    if blake3 is not None and digest.blake3 != blake3:
        cause = f"it is damaged: its BLAKE3 is {digest.blake3[:16]}, it was {blake3[:16]}"
        raise MediaError(path, cause, "Run `thatdam verify --all --heal`.")

"""Which targets, and which of them has the snapshot that is meant."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from thatdam_pipelines.backup.manifest import SnapshotName, find_snapshot
from thatdam_pipelines.backup.targets import Target, open_target, target_named
from thatdam_pipelines.errors import QueryError, SettingsError, ThatdamError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.settings import BackupTarget, Settings


def no_targets() -> SettingsError:
    return SettingsError("THATDAM_BACKUP_TARGETS", "no backup target is set", "See docs/backup.md.")


def open_targets(
    settings: Settings,
    told: Callable[[str], None],
    source: str | None = None,
    key: Path | None = None,
    ledger: Ledger | None = None,
) -> list[Target]:
    """The targets that can be reached now: that of ``source``, or all of the settings.

    Args:
        told: Is told of each that cannot.
        source: Name of a target of the settings, or the URL of another.
        key: Key file of such another.

    Raises:
        SettingsError: None is set.
        QueryError: None can be reached.
        OfflineError: That of ``source`` cannot be reached.
    """
    if source is not None:
        known = any(target.name == source for target in settings.backup_targets)
        wanted = target_named(settings, source) if known else BackupTarget(name="given", url=source, key_file=key)
        return [open_target(settings, wanted)]
    if not settings.backup_targets:
        raise no_targets()
    opened = []
    for wanted in settings.backup_targets:
        try:
            opened.append(open_target(settings, wanted, ledger))
        except ThatdamError as error:
            told(str(error))
    if not opened:
        raise QueryError("backup", "no target can be reached now", "Mount one, or name one with --from.")
    return opened


def with_snapshot(settings: Settings, targets: Sequence[Target], snapshot: str) -> tuple[list[Target], SnapshotName]:
    """The targets, one that has the snapshot first; of the latest, the one with this library's newest, if any has.

    Raises:
        QueryError: None has it.
    """
    causes: list[str] = []
    own = _own_library(settings)
    for library in [own, None] if own else [None]:
        found = []
        for target in targets:
            try:
                found.append((find_snapshot(target, snapshot, library), target))
            except QueryError as error:
                causes.append(error.cause)
        if found:
            name, first = max(found, key=lambda one: one[0].created_utc)
            return [first, *(target for target in targets if target is not first)], name
    raise QueryError(snapshot, "; ".join(dict.fromkeys(causes)), "See `thatdam backup list`.")


def _own_library(settings: Settings) -> str | None:
    """The id of this home's library; None where there is none, or it is what is to be restored."""
    with Library(settings) as library:
        try:
            return library.ledger.get_setting("library_id") if library.has_begun else None
        except (ThatdamError, SQLAlchemyError, OSError):
            return None

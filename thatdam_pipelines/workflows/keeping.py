"""Actions that back the library up, prove what is kept, and bring it back."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field

from thatdam_pipelines.backup.audit import audit_target, drill
from thatdam_pipelines.backup.choosing import no_targets, open_targets, with_snapshot
from thatdam_pipelines.backup.contents import originals
from thatdam_pipelines.backup.prune import prune
from thatdam_pipelines.backup.restore import RestoreReport, Wanted, restore
from thatdam_pipelines.backup.snapshot import preview_snapshot, take_snapshot
from thatdam_pipelines.backup.targets import Target, open_target, target_named
from thatdam_pipelines.backup.turns import at_each
from thatdam_pipelines.backup.verify import verify_originals
from thatdam_pipelines.errors import QueryError, ThatdamError
from thatdam_pipelines.library.accounts import Role
from thatdam_pipelines.settings import BackupTarget
from thatdam_pipelines.toolbox.backing_up import target_at
from thatdam_pipelines.workflows.action import Action, Desk, Outcome, WritePath, named


class Keeping(Action):
    """An action on the backup targets of the settings."""

    role: ClassVar[Role] = "admin"

    target: list[str] = Field([], description="Only these targets of the settings; all, when none is named.")

    def targets(self, desk: Desk) -> list[BackupTarget]:
        """The targets that are meant.

        Raises:
            SettingsError: There is none.
        """
        known = desk.settings.backup_targets
        if found := [target_named(desk.settings, name) for name in self.target] or known:
            return found
        raise no_targets()

    def would(self, desk: Desk) -> str:
        return f"do {self.action} at {named([target.name for target in self.targets(desk)])}"

    def at_each(self, desk: Desk, work: Callable[[BackupTarget], dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        """What the work gives at each target, and what is wrong; one that fails keeps no other from its own."""
        turns = at_each(desk.settings, self.targets(desk), work)
        reports = [
            {"target": wanted.name, "error": str(done)} if isinstance(done, ThatdamError) else done
            for wanted, done in turns
        ]
        return reports, "; ".join(f"{report['target']}: {why}" for report in reports if (why := _wrong(report)))


class Backup(Keeping):
    """Takes a snapshot: what is new is copied and read back, what is there is not copied again."""

    action: Literal["backup"]
    backup_root: WritePath | None = Field(None, description="Folder to back up to, in place of the settings' targets.")
    dry_run: bool = Field(False, description="Count what would be copied; copy nothing.")

    def run(self, desk: Desk) -> Outcome:
        work = self._counted if self.dry_run else self._taken
        reports, wrong = self.at_each(desk, lambda wanted: work(desk, wanted))
        told = [report for report in reports if "error" not in report]
        dest = [target.url for target in self.targets(desk)]
        return Outcome(
            {
                "copied": sum(report["new_files"] for report in told),
                "skipped": sum(report["known_files"] for report in told),
                "dest": dest[0] if len(dest) == 1 else dest,
                "targets": reports,
            },
            wrong,
        )

    def would(self, desk: Desk) -> str:
        counted = [self._counted(desk, wanted) for wanted in self.targets(desk)]
        said = [f"{one['new_files']} files new and {one['known_files']} there" for one in counted]
        where = [target.url for target in self.targets(desk)]
        return "take a snapshot at " + "; ".join(f"{url}: {what}" for url, what in zip(where, said, strict=True))

    def targets(self, desk: Desk) -> list[BackupTarget]:
        if self.backup_root is None:
            return super().targets(desk)
        return [target_at(desk.settings, self.backup_root)]

    def _taken(self, desk: Desk, wanted: BackupTarget) -> dict[str, Any]:
        return take_snapshot(desk.library, wanted).as_dict()

    def _counted(self, desk: Desk, wanted: BackupTarget) -> dict[str, Any]:
        """What a snapshot would copy, but for the copy of the database, and what is there."""
        copied, skipped = preview_snapshot(desk.library, wanted)
        return {"target": wanted.name, "new_files": copied, "known_files": skipped}


class Audit(Keeping):
    """Re-reads copies at the targets and compares them; those that were not read for longest come first."""

    action: Literal["audit"]
    share: float | None = Field(None, gt=0, le=1, description="Share to re-read, 0 to 1; null: what is due today.")

    def run(self, desk: Desk) -> Outcome:
        def work(wanted: BackupTarget) -> dict[str, Any]:
            return audit_target(desk.library, _opened(desk, wanted), share=self.share).as_dict()

        return Outcome(*self.at_each(desk, work))


class Drill(Keeping):
    """Restores a random sample of the newest snapshot, and the library database, to a throwaway folder and compares."""

    action: Literal["drill"]

    def run(self, desk: Desk) -> Outcome:
        return Outcome(*self.at_each(desk, lambda wanted: drill(desk.library, _opened(desk, wanted)).as_dict()))


class Prune(Keeping):
    """Removes the snapshots that a target's retention does not keep, and what no snapshot needs any more."""

    action: Literal["prune"]
    dry_run: bool = Field(False, description="Say what would be removed; remove nothing.")

    def run(self, desk: Desk) -> Outcome:
        return Outcome(*self.at_each(desk, lambda wanted: self._pruned(desk, wanted, dry_run=self.dry_run)))

    def would(self, desk: Desk) -> str:
        reports, wrong = self.at_each(desk, lambda wanted: self._pruned(desk, wanted, dry_run=True))
        said = [f"{one['target']}: {len(one['removed'])} snapshots" for one in reports if "error" not in one]
        return "remove at " + "; ".join([*said, *([wrong] if wrong else [])])

    def _pruned(self, desk: Desk, wanted: BackupTarget, *, dry_run: bool) -> dict[str, Any]:
        return prune(desk.library, _opened(desk, wanted), dry_run=dry_run).as_dict()


class Verify(Action):
    """Re-reads originals and compares them with their hashes. The step fails when one is wrong and not healed."""

    role: ClassVar[Role] = "admin"

    action: Literal["verify"]
    share: float = Field(1.0, gt=0, le=1, description="Share of their bytes, 0 to 1; those read longest ago first.")
    heal: bool = Field(False, description="Put back what is damaged or missing, from a backup.")

    def run(self, desk: Desk) -> Outcome:
        away: list[str] = []
        targets = open_targets(desk.settings, away.append, ledger=desk.library.ledger) if self.heal else []
        report = verify_originals(desk.library, share=self.share, heal_from=targets)
        wrong = [f"{report.unhealed} originals are wrong", *away] if report.unhealed else []
        return Outcome(report.as_dict(), "; ".join(wrong))

    def would(self, desk: Desk) -> str:
        files = sum(1 for _ in originals(desk.library))
        return f"re-read {self.share:.0%} of {files} originals" + (" and heal what is wrong" if self.heal else "")


class Restore(Action):
    """Restores files of a snapshot, or a whole home, each proven against its hash. Nothing different is overwritten.

    The step fails when a file cannot be restored.
    """

    role: ClassVar[Role] = "admin"

    action: Literal["restore"]
    to: WritePath = Field(description="Folder to restore to.")
    snapshot: str = Field("latest", description="A snapshot, or latest.")
    source: str | None = Field(None, alias="from", description="A target of the settings; null: all that are there.")
    path: str | None = Field(None, min_length=1, description="Files whose path or its end is like this.")
    media: str | None = Field(None, min_length=1, description="The original with this media id.")
    everything: bool = Field(False, alias="all", description="A whole home, for an empty machine.")
    dry_run: bool = Field(False, description="Say what it would do and how long it would take; write nothing.")

    def run(self, desk: Desk) -> Outcome:
        report = self._restored(desk, dry_run=self.dry_run)
        wrong = f"{len(report.problems)} files could not be restored" if report.problems else ""
        return Outcome(report.as_dict(), wrong)

    def would(self, desk: Desk) -> str:
        report = self._restored(desk, dry_run=True)
        return f"restore {report.files} files ({report.bytes / 1e6:.1f} MB) of {report.snapshot_id} to {self.to}"

    def _restored(self, desk: Desk, *, dry_run: bool) -> RestoreReport:
        if sum((self.path is not None, self.media is not None, self.everything)) != 1:
            raise QueryError("restore", "it does not say what to restore", "Give one of path, media and all.")
        if self.source is not None:
            target_named(desk.settings, self.source)
        targets = open_targets(desk.settings, lambda _away: None, self.source, ledger=desk.library.ledger)
        targets, name = with_snapshot(desk.settings, targets, self.snapshot)
        return restore(targets, name, Wanted(self.everything, self.path, self.media), self.to, dry_run=dry_run)


def _opened(desk: Desk, wanted: BackupTarget) -> Target:
    return open_target(desk.settings, wanted, desk.library.ledger)


def _wrong(report: dict[str, Any]) -> str:
    if "error" in report:
        return str(report["error"])
    return "; ".join(f"{len(report[name])} {name}" for name in ("missing", "wrong") if report.get(name))

"""Pruning after random histories with fixed seeds: it does what it said, and no original loses its last good copy."""

import random
from pathlib import Path

import pytest

from thatdam_pipelines.backup.audit import audit_target
from thatdam_pipelines.backup.manifest import list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.prune import prune
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.copies import Copies
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Retention, Settings

STEPS = 14


class History:
    """A library with two targets to which one thing happens after another."""

    def __init__(self, library: Library, folder: Path, seed: int) -> None:
        self.library = library
        self.folder = folder
        self.choice = random.Random(seed)
        self.originals: dict[str, str] = {}
        self.removed = 0
        self.targets = [
            BackupTarget(
                name=name,
                url=str(folder / name),
                retention=Retention(keep_last=keep, keep_daily=0, keep_weekly=0, keep_monthly=0),
            )
            for name, keep in (("near", 1), ("far", 2))
        ]

    def step(self) -> None:
        what = (self.arrive, self.snap, self.snap, self.prune, self.lose_tables, self.lose_file, self.rot)
        self.choice.choice(what)()

    def arrive(self) -> None:
        number = len(self.originals)
        card = self.folder / f"card{number}"
        card.mkdir()
        (card / "A.MOV").write_bytes(f"clip {number}".encode() * self.choice.randint(1, 50))
        for batch in claim_paths(self.library, [card], "copy"):
            ingest_batch(self.library, batch)
            self.originals[digest_file(card / "A.MOV").blake3] = batch

    def snap(self) -> None:
        take_snapshot(self.library, self.choice.choice(self.targets))

    def lose_tables(self) -> None:
        """As when somebody removes a batch's tables by hand: no snapshot names its originals from then on."""
        if self.originals:
            batch = self.choice.choice(sorted(self.originals.values()))
            for table in ("media", "locations"):
                (self.library.settings.tables_dir / table / f"{batch}.parquet").unlink(missing_ok=True)

    def lose_file(self) -> None:
        """An original goes from the media store, where another copy of it is left."""
        blake3 = self.choice.choice([*self.originals, ""])
        if self.copies_of(blake3) > 1:
            for path in self.kept(blake3):
                path.unlink()

    def rot(self) -> None:
        """A copy at a target is damaged, where another good one is left; and the next audit finds out."""
        blake3, wanted = self.choice.choice([*self.originals, ""]), self.choice.choice(self.targets)
        path = Path(wanted.url, "objects", blake3[:2], blake3)
        if self.copies_of(blake3) > 1 and path.is_file():
            path.write_bytes(b"x" + path.read_bytes()[1:])
            audit_target(self.library, open_target(self.library.settings, wanted, self.library.ledger), share=1.0)

    def prune(self) -> None:
        wanted = self.choice.choice(self.targets)
        if not Path(wanted.url).exists():
            return
        target = open_target(self.library.settings, wanted, self.library.ledger)
        safe = {blake3 for blake3 in self.originals if self.copies_of(blake3)}
        before = self.objects(wanted)
        said, done = (prune(self.library, target, dry_run=dry, grace_s=0) for dry in (True, False))
        gone = before - self.objects(wanted)
        assert (said.kept, said.removed, said.objects, said.bytes, said.kept_last_contents) == (
            done.kept,
            done.removed,
            done.objects,
            done.bytes,
            done.kept_last_contents,
        )
        assert len(gone) == done.objects and not gone & set(done.kept_last_contents)
        assert [name.snapshot_id for name in list_snapshots(target)] == done.kept
        for name in list_snapshots(target):
            with open_manifest(target, name) as manifest:
                assert not {line.blake3 for line in read_lines(manifest)} & gone
        lost = [blake3 for blake3 in safe if not self.copies_of(blake3)]
        assert not lost
        self.removed += len(gone)

    def objects(self, wanted: BackupTarget) -> set[str]:
        return {path.name for path in Path(wanted.url, "objects").rglob("*") if path.is_file()}

    def kept(self, blake3: str) -> list[Path]:
        stored = Path(self.library.settings.media_url).rglob("A.MOV")
        return [path for path in stored if digest_file(path).blake3 == blake3]

    def copies_of(self, blake3: str) -> int:
        """Good copies of a content that there really are, at the targets and in the media store."""
        at_targets = [Path(wanted.url, "objects", blake3[:2], blake3) for wanted in self.targets]
        good = [path for path in at_targets if path.is_file() and digest_file(path).blake3 == blake3]
        return len(good) + len(self.kept(blake3))


@pytest.mark.parametrize("seed", range(10))
def test_no_history_makes_pruning_take_a_last_copy_or_do_what_it_did_not_say(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    with Library(settings) as library:
        history = History(library, tmp_path, seed)
        history.arrive()
        for _ in range(STEPS):
            history.step()
        for _ in range(2):
            history.arrive()
            history.snap()
            history.prune()
        for wanted in history.targets:
            for _ in range(3):
                take_snapshot(library, wanted)
        history.prune()
        assert history.removed


def test_two_targets_that_are_pruned_at_once_do_not_leave_a_last_copy_to_each_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library(settings) as library:
        history = History(library, tmp_path, seed=0)
        history.arrive()
        ((blake3, batch),) = history.originals.items()
        for wanted in history.targets:
            take_snapshot(library, wanted)
        for table in ("media", "locations"):
            (settings.tables_dir / table / f"{batch}.parquet").unlink()
        for path in history.kept(blake3):
            path.unlink()
        for wanted in history.targets:
            take_snapshot(library, wanted)
            take_snapshot(library, wanted)
        near, far = (open_target(settings, wanted, library.ledger) for wanted in history.targets)
        forget = Copies.forget

        def forget_after_the_other(copies: Copies, *arguments: object) -> None:
            monkeypatch.setattr(Copies, "forget", forget)
            prune(library, far, grace_s=0)
            forget(copies, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Copies, "forget", forget_after_the_other)
        prune(library, near, grace_s=0)
        assert history.copies_of(blake3) == 1
        # What was kept is known as a last copy from then on.
        for target in (near, far):
            prune(library, target, grace_s=0)
        assert history.copies_of(blake3) == 1

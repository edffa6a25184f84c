"""Many small faults at random moments of an offload, seeds fixed: none makes a verdict better than the facts."""

import errno
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thatdam_pipelines.backup import offload_destination, offload_part
from thatdam_pipelines.backup.offload import OffloadResult, Progress, offload
from thatdam_pipelines.library.checksum import Digest
from thatdam_pipelines.samples.cards import contents, write_card

FAULTS_OF_EACH = 30


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is, for what is tested is the order of things and not the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


class Fault:
    """One fault, at a random moment of the next offload."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bits: random.Random, card: Path, target: Path) -> None:
        self.patch = monkeypatch
        self.bits = bits
        self.card = card
        self.target = target
        self.left = 0
        self.struck = False

    def strikes(self) -> bool:
        self.left -= 1
        if self.left != 0:
            return False
        self.struck = True
        return True

    def fail_call(self, name: str, most: int, code: int) -> None:
        """Let one call of the system on a file at the target fail."""
        self.left = self.bits.randint(1, most)
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            path = arguments[0]
            if isinstance(path, int):
                path = os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115 - may be no path
            if os.fsdecode(path).startswith(str(self.target)) and self.strikes():  # type: ignore[arg-type]
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        self.patch.setattr(os, name, call)

    def no_space(self) -> None:
        self.fail_call("write", 20, errno.ENOSPC)

    def disk_error_on_write(self) -> None:
        self.fail_call("write", 20, errno.EIO)

    def disk_error_on_fsync(self) -> None:
        self.fail_call("fsync", 20, errno.EIO)

    def disk_error_on_naming(self) -> None:
        self.fail_call("link", 12, errno.EIO)

    def name_too_long(self) -> None:
        self.fail_call("open", 15, errno.ENAMETOOLONG)

    def flipped_bit(self) -> None:
        self.left = self.bits.randint(1, 12)
        real = offload_part.read_back

        def read_back(path: Path) -> Digest:
            if path.is_relative_to(self.target) and path.stat().st_size and self.strikes():
                content = bytearray(path.read_bytes())
                content[self.bits.randrange(len(content))] ^= 1 << self.bits.randrange(8)
                path.write_bytes(content)
            return real(path)

        self.patch.setattr(offload_part, "read_back", read_back)

    def interrupted(self) -> None:
        self.at_progress(self.raise_interrupt)

    def source_grows(self) -> None:
        self.at_progress(self.grow)

    def source_is_replaced(self) -> None:
        self.at_progress(self.replace)

    def copy_goes(self) -> None:
        self.at_progress(self.remove)

    def at_progress(self, act: Callable[[], None]) -> None:
        self.left = self.bits.randint(1, 30)
        self.act = act

    def on_progress(self, progress: Progress) -> None:
        if hasattr(self, "act") and self.strikes():
            self.act()

    def raise_interrupt(self) -> None:
        raise KeyboardInterrupt

    def any_file(self, top: Path) -> Path | None:
        found = sorted(top.rglob("*.MOV"))
        return self.bits.choice(found) if found else None

    def grow(self) -> None:
        if path := self.any_file(self.card):
            with path.open("ab") as file:
                file.write(b"more")

    def replace(self) -> None:
        if path := self.any_file(self.card):
            (self.card / "new").write_bytes(self.bits.randbytes(path.stat().st_size))
            (self.card / "new").replace(path)

    def remove(self) -> None:
        if path := self.any_file(self.target):
            path.unlink()
        else:
            # Nothing is there yet: the next time it is asked.
            self.left, self.struck = 1, False


KINDS = [
    "no_space",
    "disk_error_on_write",
    "disk_error_on_fsync",
    "disk_error_on_naming",
    "name_too_long",
    "flipped_bit",
    "interrupted",
    "source_grows",
    "source_is_replaced",
    "copy_goes",
]


def require_true(result: OffloadResult, card: Path) -> None:
    """What is said to be whole is; what is said to be verified is there, as it was read."""
    for copy in result.copies:
        assert copy.folder is not None
        for path, record in copy.records.items():
            assert (copy.folder / path).stat().st_size == record.size_bytes, path
        if result.is_safe:
            assert contents(copy.folder) == contents(card)


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_makes_a_verdict_better_than_the_facts(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(FAULTS_OF_EACH):
        bits = random.Random(f"{kind} {seed}")
        top = folder / str(seed)
        card, roots = top / "A001", [top / "one", top / "two"]
        write_card(card, seed=seed, clips=5, clip_bytes=20_000)
        for root in roots:
            root.mkdir()
        with monkeypatch.context() as patch:
            # Copies get their names two by two, so that a fault finds some done and some not.
            patch.setattr(offload_destination, "_GROUP_FILES", 2)
            fault = Fault(patch, bits, card, roots[0])
            getattr(fault, kind)()
            try:
                result = offload(card, roots, on_progress=fault.on_progress)
            except KeyboardInterrupt:
                seen["interrupted"] += 1
            else:
                require_true(result, card)
                assert result.copies[1].failure is None
                seen["told of" if not result.is_safe else "completed"] += 1
            seen["struck"] += fault.struck
        again = offload(card, roots)
        assert again.is_safe, again.reasons
        require_true(again, card)
        seen["whole on the next try"] += again.is_safe
    print(f"{kind}: {dict(seen)}")  # noqa: T201 - the table of the suite
    record_property("faults", dict(seen))
    assert seen["struck"] > FAULTS_OF_EACH // 3

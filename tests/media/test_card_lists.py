"""Cards that arrive with hash lists: each file is compared with what they say, and kept whatever they say."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from thatdam_pipelines.defs.checks import card_as_listed
from thatdam_pipelines.library import checksum
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import CARD_HASHES, LOCATIONS
from thatdam_pipelines.media import hash_lists
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.samples.cards import contents, legacy_list, put_files, write_card
from thatdam_pipelines.samples.drops import MODES
from thatdam_pipelines.settings import IngestMode, Settings

CLIP = "DCIM/100TEST/C0001.MOV"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001", clips=3, clip_bytes=5000)
    return tmp_path / "A001"


def write_history(card: Path, form: str) -> None:
    """As a recorder or another offload tool does it."""
    command = [sys.executable, "-m", "ascmhl.cli.ascmhl", "create", "-h", form, str(card)]
    subprocess.run(command, capture_output=True, check=True)


def ingest(library: Library, path: Path, mode: IngestMode = "copy") -> list[str]:
    batches = claim_paths(library, [path], mode)
    for batch in batches:
        ingest_batch(library, batch)
    return batches


def verdicts(library: Library, batches: list[str], card: Path) -> dict[str, str]:
    rows = [row for batch in batches for row in library.tables.read(CARD_HASHES, batch).iter_rows(named=True)]
    assert len(rows) == len({row["source_path"] for row in rows})
    return {os.path.relpath(row["source_path"], card): row["verdict"] for row in rows}


def wrong(check: dg.AssetCheckResult) -> str:
    return str(check.metadata["what is wrong"].value).replace("\\", "")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["xxh128", "md5", "sha1", "xxh64", "c4"])
def test_every_file_of_a_card_with_a_history_is_verified_against_it(
    library: Library, card: Path, form: str, mode: IngestMode
) -> None:
    named = set(contents(card))
    write_history(card, form)
    batches = ingest(library, card, mode)
    assert verdicts(library, batches, card) == dict.fromkeys(named, "verified")
    assert all(card_as_listed(library, batch).passed for batch in batches)


def test_a_file_that_is_not_what_its_list_says_is_kept_and_said_loudly(library: Library, card: Path) -> None:
    write_history(card, "md5")
    (card / CLIP).write_bytes(b"rotten on the way")
    (batch,) = ingest(library, card)
    assert verdicts(library, [batch], card)[CLIP] == "failed"
    check = card_as_listed(library, batch)
    assert not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    assert f"{CLIP}: failed: it is not what its list says (md5)" in wrong(check)
    kept = library.tables.read(LOCATIONS, batch)
    assert str(card / CLIP) in kept["source_path"]
    assert {verdict for path, verdict in verdicts(library, [batch], card).items() if path != CLIP} == {"verified"}


def test_a_file_that_did_not_come_is_missing(library: Library, card: Path) -> None:
    write_history(card, "xxh64")
    (card / CLIP).unlink()
    (batch,) = ingest(library, card)
    assert verdicts(library, [batch], card)[CLIP] == "missing"
    assert CLIP in wrong(card_as_listed(library, batch))


@pytest.mark.parametrize("form", ["md5", "sha1", "xxhash64be"])
def test_an_older_list_is_compared_too(library: Library, card: Path, form: str) -> None:
    files = {name: content for name, content in contents(card).items() if content}
    (card / "A001.mhl").write_bytes(legacy_list({**files, CLIP: b"another"}, form))
    (batch,) = ingest(library, card)
    assert verdicts(library, [batch], card) == {**dict.fromkeys(files, "verified"), CLIP: "failed"}


def test_a_list_that_cannot_be_used_is_told_of_and_costs_no_file(library: Library, card: Path) -> None:
    put_files(card, {"ascmhl/0001_x.mhl": b"no xml", "ascmhl/ascmhl_chain.xml": b"no xml"})
    (batch,) = ingest(library, card)
    assert verdicts(library, [batch], card) == {".": "unusable"}
    assert library.tables.read(LOCATIONS, batch).height == len(contents(card)) + 2


@pytest.mark.parametrize("mode", MODES)
def test_a_card_in_many_batches_is_compared_once_whichever_brings_the_list(
    settings: Settings, card: Path, mode: IngestMode
) -> None:
    named = set(contents(card))
    write_history(card, "md5")
    with Library(settings.model_copy(update={"batch_max_files": 2})) as library:
        batches = claim_paths(library, [card], mode)
        for batch in reversed(batches):
            ingest_batch(library, batch)
        assert len(batches) > 2
        assert verdicts(library, batches, card) == dict.fromkeys(named, "verified")


def test_a_list_that_comes_after_the_files_is_compared_with_what_is_kept(library: Library, card: Path) -> None:
    files = {name: content for name, content in contents(card).items() if content}
    first = ingest(library, card, "move")
    assert verdicts(library, first, card) == {}
    put_files(card, {"A001.mhl": legacy_list({**files, CLIP: b"another"}, "sha1")})
    second = [batch for batch in ingest(library, card, "move") if batch not in first]
    assert verdicts(library, second, card) == {**dict.fromkeys(files, "verified"), CLIP: "failed"}


def test_run_again_after_a_kill_before_the_table_the_files_are_compared_all_the_same(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = set(contents(card))
    write_history(card, "md5")
    (batch,) = claim_paths(library, [card], "move")
    write = library.tables.write

    def killed(table: object, *arguments: object) -> bool:
        if table is CARD_HASHES:
            raise KeyboardInterrupt
        return write(table, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(library.tables, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest_batch(library, batch)
    ingest_batch(library, batch)
    assert verdicts(library, [batch], card) == dict.fromkeys(named, "verified")


def test_other_hashes_are_taken_in_the_read_that_copies_and_only_where_asked_for(
    library: Library, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    asked: list[object] = []
    real, hashes = checksum.open_regular, hash_lists.Hashes.begin

    def open_regular(path: Path) -> int:
        opened.append(str(path))
        return real(path)

    def begin(self: hash_lists.Hashes) -> None:
        asked.append(self)
        hashes(self)

    monkeypatch.setattr(checksum, "open_regular", open_regular)
    monkeypatch.setattr(hash_lists.Hashes, "begin", begin)
    ingest(library, card)
    assert not asked and opened.count(str(card / CLIP)) == 1
    write_card(tmp_path / "B002", seed=2, clips=1, clip_bytes=7000)
    clip = tmp_path / "B002" / CLIP.replace("C0001", "C0000")
    write_history(tmp_path / "B002", "md5")
    ingest(library, tmp_path / "B002")
    assert asked and opened.count(str(clip)) == 1

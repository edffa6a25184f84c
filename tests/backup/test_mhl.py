"""ASC MHL: what thatdam writes is accepted by the ascmhl program, and what a card brings is verified against."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from thatdam_pipelines.backup.offload import OffloadResult, offload
from thatdam_pipelines.samples.cards import contents, legacy_list, odd_files, put_files, write_card

CLIP = "DCIM/100TEST/C0001.MOV"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001")
    return tmp_path / "A001"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "ssd").mkdir()
    return tmp_path / "ssd"


def ascmhl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the library's own program. It asks the network for updates, which tests have none of."""
    module = "ascmhl.cli.ascmhl" if arguments[0] in ("create", "diff", "info") else "ascmhl.cli.ascmhl_debug"
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False)


def require_accepted(folder: Path) -> None:
    for command in ("diff", "verify"):
        done = ascmhl(command, str(folder))
        assert done.returncode == 0 and not done.stderr, (command, done.stdout, done.stderr)


def folder_of(result: OffloadResult) -> Path:
    found = result.copies[0].folder
    assert found is not None
    return found


def generations(folder: Path) -> int:
    return len(list((folder / "ascmhl").glob("*.mhl")))


def test_the_history_of_an_offload_is_accepted_and_names_xxh128_and_c4(card: Path, target: Path) -> None:
    folder = folder_of(offload(card, [target]))
    require_accepted(folder)
    assert ascmhl("verify", "-dh", str(folder)).returncode == 0
    manifest = etree.parse(next((folder / "ascmhl").glob("*.mhl")))
    hashes = manifest.findall(".//{*}hashes/{*}hash")
    assert len(hashes) == len(contents(card)) and all(one.find("{*}xxh128") is not None for one in hashes)
    assert etree.parse(folder / "ascmhl" / "ascmhl_chain.xml").find(".//{*}c4") is not None


def test_the_program_finds_a_byte_that_was_flipped_later(card: Path, target: Path) -> None:
    folder = folder_of(offload(card, [target]))
    content = bytearray((folder / CLIP).read_bytes())
    content[1000] ^= 4
    (folder / CLIP).write_bytes(content)
    done = ascmhl("verify", str(folder))
    assert done.returncode != 0 and CLIP in done.stderr


def test_what_was_shot_since_is_a_second_generation(card: Path, target: Path) -> None:
    offload(card, [target])
    put_files(card, {"DCIM/100TEST/C0099.MOV": b"new"})
    folder = folder_of(offload(card, [target]))
    assert generations(folder) == 2
    require_accepted(folder)


def test_run_again_with_nothing_new_no_generation_is_added(card: Path, target: Path) -> None:
    folder = folder_of(offload(card, [target]))
    offload(card, [target])
    assert generations(folder) == 1
    offload(card, [target], reverify=True)
    require_accepted(folder)


def test_a_rename_at_the_copy_is_recorded_by_the_program_and_the_history_goes_on(card: Path, target: Path) -> None:
    folder = folder_of(offload(card, [target]))
    (folder / CLIP).rename(folder / "DCIM/100TEST/renamed.MOV")
    assert ascmhl("create", "-dr", "-h", "xxh128", str(folder)).returncode == 0
    assert generations(folder) == 2
    require_accepted(folder)
    put_files(card, {"DCIM/100TEST/C0099.MOV": b"new"})
    again = offload(card, [target])
    assert again.is_safe and folder_of(again) == folder and generations(folder) == 3
    assert contents(folder) == contents(card) | {"DCIM/100TEST/renamed.MOV": contents(card)[CLIP]}
    require_accepted(folder)


def test_a_file_that_is_renamed_on_the_card_gets_a_folder_with_a_history_of_its_own(card: Path, target: Path) -> None:
    first = folder_of(offload(card, [target]))
    (card / CLIP).rename(card / "DCIM/100TEST/renamed.MOV")
    second = folder_of(offload(card, [target]))
    assert second != first and contents(second) == contents(card)
    require_accepted(first)
    require_accepted(second)


def test_names_that_xml_cannot_hold_are_ignored_by_the_history_and_told_of(card: Path, target: Path) -> None:
    put_files(card, odd_files())
    result = offload(card, [target])
    assert result.is_safe
    unsayable = {name for name in odd_files() if "\n" in name or "\u2028" in name or "\udcff" in name}
    assert set(result.copies[0].unsayable) == unsayable
    require_accepted(folder_of(result))


def test_a_card_with_a_history_is_verified_against_it_and_the_history_goes_on(card: Path, target: Path) -> None:
    assert ascmhl("create", "-h", "md5", str(card)).returncode == 0
    result = offload(card, [target])
    assert result.is_safe
    said = {path: record.history for path, record in result.copies[0].records.items() if "ascmhl" not in path}
    assert set(said.values()) == {"verified"}
    assert generations(folder_of(result)) == 2 and generations(card) == 1
    require_accepted(folder_of(result))
    assert offload(card, [target]).is_safe


def test_a_history_that_comes_later_is_verified_against_all_the_same(card: Path, target: Path) -> None:
    assert offload(card, [target]).is_safe
    wrong = {**contents(card), CLIP: b"other content"}
    (card / "late.mhl").write_bytes(legacy_list({name: content for name, content in wrong.items() if content}, "md5"))
    result = offload(card, [target])
    assert result.reasons == [f"{CLIP}: it is not what the card's own hash list says"]


def test_what_the_system_made_is_copied_where_the_cards_history_names_it(card: Path, target: Path) -> None:
    put_files(card, {"Thumbs.db": b"of Windows", "DCIM/desktop.ini": b"of Windows too"})
    assert ascmhl("create", "-h", "md5", str(card)).returncode == 0
    put_files(card, {"MISC/Thumbs.db": b"later"})
    result = offload(card, [target])
    assert result.is_safe and result.card.left == ("MISC/Thumbs.db",)
    require_accepted(folder_of(result))


def test_histories_inside_of_a_card_go_on_too(tmp_path: Path, target: Path) -> None:
    for reel in ("A001", "A002"):
        write_card(tmp_path / "disk" / reel, seed=ord(reel[-1]))
        assert ascmhl("create", "-h", "xxh64", str(tmp_path / "disk" / reel)).returncode == 0
    result = offload(tmp_path / "disk", [target])
    assert result.is_safe and result.as_dict()["history"]["verified"] == 26
    assert generations(folder_of(result)) == 1 and generations(folder_of(result) / "A001") == 2
    require_accepted(folder_of(result))


def test_a_file_that_differs_from_the_cards_history_makes_it_unsafe(card: Path, target: Path) -> None:
    ascmhl("create", "-h", "xxh128", str(card))
    content = bytearray((card / CLIP).read_bytes())
    content[5] ^= 1
    (card / CLIP).write_bytes(content)
    result = offload(card, [target])
    assert result.reasons == [f"{CLIP}: it is not what the card's own hash list says"]
    assert (folder_of(result) / CLIP).read_bytes() == content
    assert ascmhl("verify", str(folder_of(result))).returncode != 0


def test_a_file_that_the_cards_history_names_and_that_is_gone_makes_it_unsafe(card: Path, target: Path) -> None:
    ascmhl("create", "-h", "md5", str(card))
    (card / CLIP).unlink()
    result = offload(card, [target])
    assert result.reasons == [f"{CLIP}: the card's own hash list names it, and it is not on the card"]


@pytest.mark.parametrize("form", ["md5", "sha1", "xxhash64be", "xxhash64"])
def test_a_card_with_an_older_list_is_verified_against_it(card: Path, target: Path, form: str) -> None:
    files = {name: content for name, content in contents(card).items() if content}
    (card / "A001.mhl").write_bytes(legacy_list(files, form))
    result = offload(card, [target])
    assert result.is_safe and result.as_dict()["history"] == {"verified": len(files), "failed": 0, "missing": 0}
    require_accepted(folder_of(result))


def test_an_older_list_that_disagrees_or_names_what_is_gone_makes_it_unsafe(card: Path, target: Path) -> None:
    wrong = {CLIP: b"other content", "DCIM/100TEST/gone.MOV": b"x"}
    (card / "A001.mhl").write_bytes(legacy_list(wrong, "md5"))
    result = offload(card, [target])
    assert set(result.problems) == set(wrong) and not result.is_safe


HOSTILE_CHAIN = b"""<?xml version="1.0"?><ascmhldirectory xmlns="urn:ASC:MHL:DIRECTORY:v2.0">
<hashlist sequencenr="1"><path>../../../../../../../../dev/zero</path><c4>c4x</c4></hashlist></ascmhldirectory>"""
BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><hashlist><hash><file>&a;</file>
<md5>&a;</md5></hash></hashlist>"""


@pytest.mark.parametrize("chain", [HOSTILE_CHAIN, b"no xml", b""])
def test_a_history_that_cannot_be_used_is_told_of_and_leads_nowhere(card: Path, target: Path, chain: bytes) -> None:
    put_files(card, {"ascmhl/ascmhl_chain.xml": chain})
    result = offload(card, [target])
    assert contents(folder_of(result)) == contents(card)
    assert not result.is_safe and "ASC MHL" in result.problems["."]


def test_an_older_list_that_is_no_list_is_told_of_and_leads_nowhere(card: Path, target: Path) -> None:
    put_files(card, {"bad.mhl": BOMB, "worse.mhl": b"\x00"})
    result = offload(card, [target])
    assert "worse.mhl" in result.problems["."] and "root:" not in str(result.as_dict())


def test_a_manifest_that_a_kill_left_without_its_chain_is_written_anew(card: Path, target: Path) -> None:
    folder = folder_of(offload(card, [target]))
    (folder / "ascmhl" / "ascmhl_chain.xml").unlink()
    put_files(card, {"late.MOV": b"late"})
    assert folder_of(offload(card, [target])) == folder
    assert generations(folder) == 1
    require_accepted(folder)


def test_times_outside_of_any_calendar_do_not_stop_it(card: Path, target: Path) -> None:
    os.utime(card / CLIP, ns=(0, -(10**18)))
    result = offload(card, [target])
    assert result.is_safe
    require_accepted(folder_of(result))

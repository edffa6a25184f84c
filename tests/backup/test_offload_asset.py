"""The asset `offloads`: a card offloaded from the launchpad, what it tells, and what its check shouts about."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from thatdam_pipelines.backup.offload import offload
from thatdam_pipelines.backup.offload_account import record_offload
from thatdam_pipelines.defs.backup.offloads import offloads
from thatdam_pipelines.defs.resources import library_of
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.samples.cards import write_card
from thatdam_pipelines.settings import Settings


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001", clips=1)
    Image.new("RGB", (64, 48), "red").save(tmp_path / "A001/DCIM/IMG_0001.JPG")
    return tmp_path / "A001"


@pytest.fixture
def disks(tmp_path: Path) -> list[str]:
    roots = [tmp_path / name for name in ("ssd", "nas")]
    for root in roots:
        root.mkdir()
    return [str(root) for root in roots]


def made(settings: Settings, raise_on_error: bool = True, **config: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [offloads],
        resources={"library": library_of(settings)},
        run_config={"ops": {"offloads": {"config": config}}},
        raise_on_error=raise_on_error,
    )


def told(result: dg.ExecuteInProcessResult) -> Mapping[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def verdict(result: dg.ExecuteInProcessResult) -> tuple[bool, str]:
    (check,) = result.get_asset_check_evaluations()
    assert check.check_name == "safe_to_format"
    return check.passed, str(check.description).replace("\\", "")


def test_a_safe_card_is_told_with_its_copies_report_and_contact_sheet(
    card: Path, disks: list[str], settings: Settings
) -> None:
    result = made(settings, card=str(card), to=disks)
    said = told(result)
    assert said["verdict"] == "SAFE TO FORMAT" and verdict(result)[0]
    assert "ssd" in said["destinations"] and "nas" in said["destinations"]
    assert Path(str(said["contact_sheet.png"])).read_bytes().startswith(b"\x89PNG")
    prefix, _, encoded = str(said["clips"]).removesuffix(")").partition(",")
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as shown:
        assert prefix == "![contact sheet](data:image/jpeg;base64" and max(shown.size) <= 600
    assert Path(str(said["report.html"])).is_relative_to(disks[0])
    with Library(settings) as library:
        assert {row.destination for row in library.ledger.offloads.rows()} == set(disks)


def test_a_card_that_ended_not_safe_shouts_with_the_reason_until_a_later_offload_is_safe(
    card: Path, disks: list[str], settings: Settings
) -> None:
    (card / "link").symlink_to("/etc/passwd")
    result = made(settings, card=str(card), to=disks)
    passed, why = verdict(result)
    assert result.success and not passed and "link: it is a link" in why
    (card / "link").unlink()
    assert verdict(made(settings, card=str(card), to=disks))[0]


def test_the_check_shouts_about_an_offload_of_the_command_line_too(
    card: Path, disks: list[str], settings: Settings, tmp_path: Path
) -> None:
    write_card(tmp_path / "B002", clips=1)
    (tmp_path / "B002/link").symlink_to("/etc/passwd")
    with Library(settings) as library:
        record_offload(library, offload(tmp_path / "B002", [Path(disks[0])]))
    passed, why = verdict(made(settings, card=str(card), to=disks))
    assert not passed and "B002" in why


def test_with_ingest_the_whole_copy_is_claimed_for_the_library(
    card: Path, disks: list[str], settings: Settings
) -> None:
    said = told(made(settings, card=str(card), to=disks, ingest=True))
    with Library(settings) as library:
        (batch,) = library.ledger.pending_batches()
    assert said["batches"] == batch.batch_id and Path(batch.root).is_relative_to(disks[0])


def test_a_card_that_is_not_there_fails_plainly(disks: list[str], settings: Settings, tmp_path: Path) -> None:
    result = made(settings, raise_on_error=False, card=str(tmp_path / "none"), to=disks)
    assert not result.success and not any(path for disk in disks for path in Path(disk).iterdir())

"""A phone's export into an album: nothing twice, nothing lost, and what belongs together is linked."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.test_cli import Run
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

IDENTIFIER = "6B8C1F1E-0D2A-4A53-9A3E-000000000001"
SHOT_NS = 1_700_000_000_123_456_789


def apple_exif(identifier: str) -> bytes:
    """EXIF with Apple's maker note, whose only entry is the content identifier."""
    text = identifier.encode() + b"\0"
    entry = (17).to_bytes(2) + (2).to_bytes(2) + len(text).to_bytes(4) + (32).to_bytes(4)
    note = b"Apple iOS\0\0\1MM" + (1).to_bytes(2) + entry + (0).to_bytes(4) + text
    exif = Image.Exif()
    exif[271] = "Apple"
    exif.get_ifd(34665)[37500] = note
    return exif.tobytes()


def write_picture(path: Path, colour: str, identifier: str | None = None) -> None:
    pillow_heif.register_heif_opener()
    more = {"exif": apple_exif(identifier)} if identifier else {}
    Image.new("RGB", (64, 48), colour).save(path, **more)


def write_film(path: Path, colour: str, identifier: str | None = None, codec: tuple[str, ...] = ()) -> None:
    tags = ("-metadata", f"com.apple.quicktime.content.identifier={identifier}") if identifier else ()
    source = f"color={colour}:s=128x96:d=1:r=10"
    command = [ffmpeg_exe(Settings()), "-v", "error", "-f", "lavfi", "-i", source, *codec]
    subprocess.run([*command, "-movflags", "use_metadata_tags", *tags, str(path)], check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a phone exports: Live Photos with and without identifiers, an edit, adjustments, ProRes, a plain film."""
    folder = tmp_path_factory.mktemp("phone") / "DCIM"
    folder.mkdir()
    write_picture(folder / "IMG_0001.HEIC", "red", IDENTIFIER)
    write_film(folder / "renamed.MOV", "red", IDENTIFIER)
    write_picture(folder / "IMG_0002.JPG", "green")
    write_film(folder / "IMG_0002.MOV", "green")
    write_picture(folder / "IMG_E0002.JPG", "lime")
    (folder / "IMG_0002.AAE").write_bytes(b"<plist>crop</plist>")
    write_film(folder / "IMG_0003.MOV", "blue", codec=("-c:v", "prores_ks", "-profile:v", "3"))
    for path in folder.iterdir():
        os.utime(path, ns=(SHOT_NS, SHOT_NS))
    return folder


@pytest.fixture
def phone(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "DCIM"))


def sync(run: Run, settings: Settings, phone: Path, *more: str) -> Any:
    said = run(settings, "sync-album", "--root", str(phone), "--album", "Wedding", "--json", *more)
    assert said.code == 0, said.err
    return said.data


def test_a_phone_comes_into_an_album_once_and_what_belongs_together_is_linked(
    run: Run, settings: Settings, phone: Path
) -> None:
    first = sync(run, settings, phone, "--category", "digital")
    dest = str(settings.home / "media")
    shape = {"category": "digital", "album": "Wedding", "dest": dest, "errors": 0}
    assert first == shape | {"synced": 7, "skipped": 0}
    rows = {row["name"]: row for row in run(settings, "dump").data}
    assert {row["category"] for row in rows.values()} == {"digital"}
    assert {name for name, row in rows.items() if row["albums"] == ["Wedding"]} == set(rows) - {"IMG_0002.AAE"}
    assert {(settings.home / "media" / row["path"]).stat().st_mtime_ns for row in rows.values()} == {SHOT_NS}

    pairs = run(settings, "sql", "FROM pairs ORDER BY kind, name", "--json").data
    assert [(row["kind"], row["name"], row["other_name"], row["said_by"]) for row in pairs] == [
        ("adjustments", "IMG_0002.JPG", "IMG_0002.AAE", "name"),
        ("adjustments", "IMG_0002.MOV", "IMG_0002.AAE", "name"),
        ("edited", "IMG_0002.JPG", "IMG_E0002.JPG", "name"),
        ("live_photo", "IMG_0001.HEIC", "renamed.MOV", "content identifier"),
        ("live_photo", "IMG_0002.JPG", "IMG_0002.MOV", "name"),
    ]
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        film = rows["renamed.MOV"]["media_id"]
        (pair,) = client.get(f"/api/v1/media/{film}/pairs").json()["items"]
        assert (pair["kind"], pair["name"], pair["other_id"]) == ("live_photo", "IMG_0001.HEIC", film)
        clips = {clip["name"]: clip for clip in client.get("/api/v1/media").json()["items"]}
        assert clips["IMG_0003.MOV"]["codec_name"] == "ProRes 422 HQ"

    assert sync(run, settings, phone) == shape | {"category": "edit", "synced": 0, "skipped": 7}
    shutil.move(phone / "IMG_0003.MOV", phone / "IMG_0033.MOV")
    write_picture(phone / "IMG_0004.JPG", "white")
    assert sync(run, settings, phone) == shape | {"category": "edit", "synced": 1, "skipped": 7}
    assert len(run(settings, "dump").data) == 8


def test_what_is_known_is_put_into_a_second_album_and_not_taken_again(
    run: Run, settings: Settings, phone: Path
) -> None:
    for name in ("IMG_0003.MOV", "renamed.MOV", "IMG_0002.MOV"):
        (phone / name).unlink()
    assert sync(run, settings, phone, "--reference")["dest"] == str(phone)
    for _ in range(2):
        again = run(settings, "sync_album", "--root", str(phone), "--album", "Best", "--reference", "--json").data
        assert (again["synced"], again["skipped"]) == (0, 4)
    assert len(run(settings, "batches", "list", "--json").data) == 1
    albums = {album["album"]: album["media"] for album in run(settings, "album", "list", "--json").data}
    assert albums["Best"] == albums["Wedding"] >= 3
    assert not list((settings.home / "media").rglob("*.HEIC"))


def test_without_a_name_the_album_is_called_as_the_folder(run: Run, settings: Settings, phone: Path) -> None:
    for path in phone.iterdir():
        if path.suffix != ".AAE":
            path.unlink()
    said = run(settings, "sync-album", "--root", str(phone), "--json")
    assert (said.data["album"], said.data["synced"]) == ("DCIM", 1)
    assert run(settings, "sync-album", "--root", str(phone / "nowhere")).code == 2

"""Files of a clip: a frame costs no more than its part of the proxy, and originals are saved from wherever they are."""

import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.web.relay import relaying
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, PROXIES
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import IngestMode, Settings
from thatdam_pipelines.web.app import create_app

COLOURS = ["red", "lime", "blue"]
PART_S = 10


@pytest.fixture(scope="module")
def long_proxy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of each colour under noise, which no encoder makes small, as proxies are made."""
    path = tmp_path_factory.mktemp("proxy") / "long.mp4"
    sources = [f"color={colour}:s=640x360:r=10:d={PART_S},noise=alls=40:allf=t" for colour in COLOURS]
    graph = ";".join(f"{source}[v{number}]" for number, source in enumerate(sources))
    joined = "".join(f"[v{number}]" for number in range(len(sources)))
    arguments = ["-filter_complex", f"{graph};{joined}concat=n={len(sources)}[v]", "-map", "[v]", "-g", "10"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-movflags", "+faststart"]
    command = [ffmpeg_exe(Settings()), "-v", "error", *arguments, *encoder, str(path)]
    subprocess.run(command, check=True, timeout=300)
    return path


@pytest.mark.parametrize("s3_server", ["moto", "rclone"], indirect=True)
def test_a_frame_of_a_proxy_on_s3_costs_a_fraction_of_it(
    own: Settings, in_bucket: Callable[[str], Settings], s3_server: str, long_proxy: Path
) -> None:
    with Library(own) as library:
        (batch,) = library.tables.batches(PROXIES)
        clip = next(row for row in library.tables.read(PROXIES, batch).to_dicts() if row["kind"] == "video")
    with relaying(s3_server) as relay:
        bucket = in_bucket(s3_server)
        access = {name: getattr(bucket, name) for name in ("media", "s3_key", "s3_secret")}
        settings = own.model_copy(update=access | {"s3_endpoint": relay.url})
        with Library(settings) as library:
            library.store.put(long_proxy, clip["proxy_path"])
        with TestClient(create_app(settings), base_url="http://localhost") as client:
            path = f"/api/v1/media/{clip['media_id']}/frame.jpg"
            for number, colour in enumerate([(254, 0, 0), (0, 255, 0), (0, 0, 254)]):
                before = relay.received_bytes
                answer = client.get(path, params={"t": number * PART_S + PART_S / 2})
                assert answer.status_code == 200, answer.text
                shown = np.asarray(Image.open(io.BytesIO(answer.content))).reshape(-1, 3).mean(axis=0)
                assert np.abs(shown - colour).max() < 60, shown
                assert relay.received_bytes - before < long_proxy.stat().st_size / 5


def test_a_proxy_that_does_not_decode_is_told_and_is_no_fault(own: Settings, footage: Any, tmp_path: Path) -> None:
    media = tmp_path / "media"
    shutil.copytree(footage.settings.media_url, media)
    with Library(own) as library:
        (batch,) = library.tables.batches(PROXIES)
        clip = next(row for row in library.tables.read(PROXIES, batch).to_dicts() if row["kind"] == "video")
    proxy = media / clip["proxy_path"]
    proxy.chmod(0o644)
    proxy.write_bytes(b"no film" * 1000)
    settings = own.model_copy(update={"media": str(media)})
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        answer = client.get(f"/api/v1/media/{clip['media_id']}/frame.jpg", params={"t": 1})
        assert answer.status_code == 409 and answer.json()["next_step"]


@pytest.fixture
def taken(settings: Settings, tmp_path: Path) -> Iterator[Callable[[IngestMode], tuple[TestClient, Path, str]]]:
    """Ingests one file by a mode; gives a client, the file's path and its media id."""
    clients = []

    def take(mode: IngestMode) -> tuple[TestClient, Path, str]:
        source = tmp_path / "nas" / "Käse 1.mov"
        source.parent.mkdir()
        source.write_bytes(bytes(range(256)) * 3000)
        with Library(settings) as library:
            (batch,) = claim_paths(library, [source], mode)
            assert ingest_batch(library, batch).failures == []
            (media_id,) = library.tables.read(LOCATIONS, batch)["media_id"]
        client = TestClient(create_app(settings), base_url="http://localhost")
        clients.append(client)
        return client.__enter__(), source, f"/api/v1/media/{media_id}/original"

    yield take
    for client in clients:
        client.__exit__(None, None, None)


@pytest.mark.parametrize("mode", ["copy", "reference"])
def test_an_original_is_saved_whole_and_in_parts_from_the_store_and_from_its_source(taken: Any, mode: str) -> None:
    client, source, url = taken(mode)
    whole = client.get(url)
    assert whole.status_code == 200 and whole.content == source.read_bytes()
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''K%C3%A4se%201.mov"
    assert whole.headers["content-type"] == "application/octet-stream"
    part = client.get(url, headers={"Range": "bytes=700000-", "If-Range": whole.headers["etag"]})
    assert part.status_code == 206 and part.content == source.read_bytes()[700000:]
    assert client.head(url).headers["content-length"] == str(source.stat().st_size)


def test_an_original_at_its_source_that_is_offline_or_another_is_told_and_never_sent(taken: Any) -> None:
    client, source, url = taken("reference")
    aside = source.with_name("aside.mov")
    source.rename(aside)
    away = client.get(url)
    assert away.status_code == 503 and away.json()["type"] == "urn:thatdam:away", away.text
    assert "Mount its disk" in away.json()["next_step"]
    secret = source.with_name("secret")
    secret.write_bytes(b"x" * aside.stat().st_size)
    for other in (lambda: source.write_bytes(b"other"), lambda: source.symlink_to(secret), lambda: source.mkdir()):
        other()
        changed = client.get(url)
        assert changed.status_code == 409 and "changed" in changed.json()["detail"], changed.text
        source.rmdir() if source.is_dir() else source.unlink()
    aside.rename(source)
    assert client.get(url).status_code == 200


def test_an_original_that_the_store_lost_is_read_from_where_it_came_again(taken: Any, settings: Settings) -> None:
    client, source, url = taken("copy")
    (kept,) = Path(settings.media_url).rglob("*.mov")
    kept.unlink()
    assert client.get(url).status_code == 404
    with Library(settings) as library:
        (batch,) = claim_paths(library, [source.rename(source.with_name("again.mov"))], "copy")
        ingest_batch(library, batch)
    assert client.get(url).status_code == 200

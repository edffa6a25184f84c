"""`auto`: the real model where its weights can be had, the descriptor where not, and a sentence that says why."""

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from thatdam_pipelines.embed import auto, hub
from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.open_clip_embedder import OpenClipEmbedder
from thatdam_pipelines.errors import ModelError

MODEL, TAG = "ViT-B-16-SigLIP2", "webli"
REPOSITORY = "models--timm--ViT-B-16-SigLIP2"

UseHub = Callable[[str], None]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def use_hub(monkeypatch: pytest.MonkeyPatch) -> UseHub:
    def use(address: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)

    return use


@pytest.fixture
def answering_hub() -> Iterator[Callable[[int], str]]:
    """A hub on loopback that answers everything with one status."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(status: int) -> str:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _resolve() -> Embedder:
    return auto.resolve(OpenClipEmbedder(MODEL, TAG))


def _put_in_cache(cache: Path, repository: str, *names: str) -> None:
    snapshot = cache / repository / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (cache / repository / "refs").mkdir()
    (cache / repository / "refs" / "main").write_text("0123abcd")
    for name in names:
        (snapshot / name).write_bytes(b"weights")


def test_offline_without_weights_the_descriptor_serves_and_says_why() -> None:
    serving = _resolve()
    assert serving.space == "descriptor/1"
    assert "ViT-B-16-SigLIP2 (webli) are not on this machine and HF_HUB_OFFLINE is set" in serving.note
    assert "text finds names, tags, transcripts and facts" in serving.note


def test_a_refused_connection_is_an_unreachable_hub(use_hub: UseHub) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        use_hub(f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert "cannot be reached (ConnectError)" in _resolve().note


def test_a_network_that_swallows_everything_is_given_up_on(use_hub: UseHub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        use_hub(f"http://127.0.0.1:{black_hole.getsockname()[1]}")
        serving = _resolve()
    assert serving.space == "descriptor/1"
    assert "cannot be reached (ReadTimeout)" in serving.note


def test_a_name_lookup_that_hangs_is_given_up_on(use_hub: UseHub, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: released.wait(60) and [])
    monkeypatch.setattr(hub, "_DEADLINE_S", 0.5)
    use_hub("http://hub.invalid")
    assert "did not answer in 0.5 s" in _resolve().note
    released.set()


def test_two_checks_in_a_row_fit_ten_seconds() -> None:
    assert 2 * hub._DEADLINE_S < 10


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_hub_that_refuses_is_named_with_its_status(
    status: int, use_hub: UseHub, answering_hub: Callable[[int], str]
) -> None:
    use_hub(answering_hub(status))
    serving = _resolve()
    assert serving.space == "descriptor/1"
    assert f"answered with status {status}" in serving.note


def test_with_the_hub_in_reach_the_model_serves(use_hub: UseHub, answering_hub: Callable[[int], str]) -> None:
    use_hub(answering_hub(200))
    serving = _resolve()
    assert serving.space == "open_clip/ViT-B-16-SigLIP2/webli"
    assert serving.note.endswith("serves because its weights will be downloaded from the hub on first use.")


def test_cached_weights_serve_without_a_network(empty_cache: Path) -> None:
    _put_in_cache(empty_cache, REPOSITORY, "open_clip_model.safetensors", "tokenizer.json")
    serving = _resolve()
    assert serving.space == "open_clip/ViT-B-16-SigLIP2/webli"
    assert serving.note.endswith("serves because its weights are on this machine.")


def test_cached_weights_without_their_tokenizer_do_not_serve_offline(empty_cache: Path) -> None:
    _put_in_cache(empty_cache, REPOSITORY, "open_clip_model.safetensors")
    assert _resolve().space == "descriptor/1"


def test_another_models_cached_weights_do_not_serve(empty_cache: Path) -> None:
    _put_in_cache(empty_cache, "models--someone--else", "open_clip_model.safetensors")
    assert _resolve().space == "descriptor/1"


def test_a_wrong_tag_is_an_error_and_not_a_reason_to_fall_back(empty_cache: Path) -> None:
    _put_in_cache(empty_cache, REPOSITORY, "open_clip_model.safetensors")
    with pytest.raises(ModelError, match=r"no weights of this tag\. Use webli"):
        auto.resolve(OpenClipEmbedder(MODEL, "laion9b"))


def test_deciding_for_the_descriptor_imports_neither_torch_nor_open_clip(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from thatdam_pipelines.settings import Settings\n"
        "from thatdam_pipelines.embed.embedder import open_embedder\n"
        "embedder = open_embedder(Settings(embedder='auto'))\n"
        "print(embedder.space, embedder.dimensions, {'torch', 'open_clip'} & set(sys.modules))\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "none"), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "descriptor/1 201 set()"

"""Whether weights can be had: in the local cache, or from the hub, found out in seconds even on a dead network."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_CONNECT_TIMEOUT_S = 3.0
_DEADLINE_S = 4.5


@dataclass(frozen=True)
class Repository:
    """Files on the hub that a model needs: for each, names of which the first found serves."""

    repo_id: str
    filenames: tuple[str, ...]


@dataclass(frozen=True)
class Availability:
    """Where weights are to be had, and why not when they are not."""

    state: Literal["cached", "reachable", "missing"]
    reason: str = ""


def cached_file(repository: Repository) -> Path | None:
    """Path of the repository's file in the local hub cache; None when it is not there."""
    from huggingface_hub import try_to_load_from_cache

    for filename in repository.filenames:
        found = try_to_load_from_cache(repository.repo_id, filename)
        if isinstance(found, str):
            return Path(found)
    return None


def cache_has_weights() -> bool:
    """Whether the local hub cache holds weights of any model at all."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE)
    return any(
        path.suffix in {".safetensors", ".bin", ".pt", ".pth", ".npz"}
        for path in snapshots.glob("models--*/snapshots/*/*")
    )


def hub_answers(path: str = "") -> Availability:
    """Ask the hub for ``path``, for 4.5 s at the longest. HF_HUB_OFFLINE, HF_ENDPOINT and proxies are respected."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return Availability("missing", "HF_HUB_OFFLINE is set")

    def ask() -> Availability:
        response = get_session().head(
            f"{constants.ENDPOINT}/{path}", timeout=_CONNECT_TIMEOUT_S, follow_redirects=False
        )
        if response.status_code < 400:
            return Availability("reachable")
        return Availability("missing", f"{constants.ENDPOINT} answered with status {response.status_code}")

    return _within_deadline(ask, constants.ENDPOINT)


def availability(repository: Repository) -> Availability:
    """Where the repository's file is to be had."""
    if cached_file(repository) is not None:
        return Availability("cached")
    answer = Availability("missing")
    for filename in repository.filenames:
        answer = hub_answers(f"{repository.repo_id}/resolve/main/{filename}")
        if answer.state == "reachable" or "status" not in answer.reason:
            return answer
    return answer


@contextlib.contextmanager
def only_cached() -> Iterator[None]:
    """Keep huggingface_hub, and what is built on it, to the local cache: it asks whether files are still the newest.

    Asked on a dead network, it tries each file for half a minute before it takes the cached one.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _within_deadline(ask: Callable[[], Availability], endpoint: str) -> Availability:
    """The answer of ``ask``; an error or silence is an unreachable hub.

    A name lookup has no timeout of its own and can take half a minute, hence the thread that is left behind.
    """
    answers: list[Availability] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:
            answers.append(Availability("missing", f"{endpoint} cannot be reached ({type(error).__name__})"))

    thread = threading.Thread(target=run, name="hub-check", daemon=True)
    thread.start()
    thread.join(_DEADLINE_S)
    return answers[0] if answers else Availability("missing", f"{endpoint} did not answer in {_DEADLINE_S:g} s")

"""Every bad file gets its answer: facts or a reason, soon, with nothing else opened and nobody called."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import pytest

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.workers import Job, Workers
from thatdam_pipelines.media.facts import Probe
from thatdam_pipelines.media.kinds import HEAD_BYTES, kind_of
from thatdam_pipelines.media.probe import Limits, probe_file
from thatdam_pipelines.samples.bad_files import BadFile, make_canary, write_bad_files
from thatdam_pipelines.samples.traps import Listener, Watch

LIMIT_S = 10.0


@dataclass
class Outcomes:
    """What became of each file of the corpus, probed in worker processes as a batch is."""

    corpus: list[BadFile]
    canary: Path
    listener: Listener
    results: dict[Path, Probe | MediaError] = field(default_factory=dict)
    canary_events: int = 0


def _probe(task: tuple[Path, Limits]) -> Probe:
    path, limits = task
    return probe_file(path, path.name, limits)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    folder = tmp_path_factory.mktemp("corpus")
    listener = Listener()
    canary = make_canary(folder)
    done = Outcomes(write_bad_files(folder / "bad", canary, listener.url), canary, listener)
    watch = Watch(canary)
    limits = Limits(ffmpeg=imageio_ffmpeg.get_ffmpeg_exe())
    jobs = [Job(str(n), str(bad.path), (bad.path, limits), LIMIT_S) for n, bad in enumerate(done.corpus)]
    workers = Workers(2, 2 * 2**30)
    for job, result in workers.run(_probe, jobs):
        done.results[done.corpus[int(job.media_id)].path] = result
    workers.close()
    done.canary_events = watch.events()
    watch.close()
    yield done
    for bad in done.corpus:
        if bad.path.name == "locked.mp4":
            bad.path.chmod(0o600)


def test_the_corpus_has_more_than_two_hundred_files(outcomes: Outcomes) -> None:
    assert len(outcomes.corpus) > 200
    assert len({bad.path for bad in outcomes.corpus}) == len(outcomes.corpus)


def test_every_file_is_answered_as_expected(outcomes: Outcomes) -> None:
    wrong = {}
    for bad in outcomes.corpus:
        result = outcomes.results[bad.path]
        became = "quarantined" if isinstance(result, MediaError) else "ingested"
        wanted = {"ignored": "quarantined", "sidecar": became}.get(bad.expected, bad.expected)
        if wanted not in (became, "either"):
            wrong[bad.path.name] = f"{became}, not {bad.expected} ({result})"
    assert wrong == {}


def test_every_answer_says_what_is_wrong(outcomes: Outcomes) -> None:
    silent = {}
    for bad in outcomes.corpus:
        result = outcomes.results[bad.path]
        said = result.cause if isinstance(result, MediaError) else " | ".join(result.warnings)
        if bad.expected != "sidecar" and bad.says not in said:
            silent[bad.path.name] = f"{said!r}, not {bad.says!r}"
    assert silent == {}


def test_no_answer_is_a_crash_or_a_time_out(outcomes: Outcomes) -> None:
    reasons = {bad.path.name: outcomes.results[bad.path] for bad in outcomes.corpus}
    broken = ("crashed", "unexpectedly", "took longer", "more memory")
    assert {name: str(reason) for name, reason in reasons.items() if any(word in str(reason) for word in broken)} == {}


def test_every_reason_has_a_next_step(outcomes: Outcomes) -> None:
    reasons = [result for result in outcomes.results.values() if isinstance(result, MediaError)]
    assert all(reason.cause and reason.next_step.endswith(".") for reason in reasons)


def test_kinds_are_found_by_content(outcomes: Outcomes) -> None:
    found = {bad.path.name: outcomes.results[bad.path] for bad in outcomes.corpus if bad.kind is not None}
    kinds = {name: result.kind for name, result in found.items() if isinstance(result, Probe)}
    assert kinds == {bad.path.name: bad.kind for bad in outcomes.corpus if bad.path.name in kinds}


def test_sidecars_are_known_by_name_and_never_probed(outcomes: Outcomes) -> None:
    sidecars = [bad.path for bad in outcomes.corpus if bad.expected == "sidecar"]
    assert len(sidecars) >= 2
    assert {kind_of(path.name, path.read_bytes()[:HEAD_BYTES]) for path in sidecars} == {"sidecar"}


def test_nobody_opens_the_file_they_point_at(outcomes: Outcomes) -> None:
    assert outcomes.canary_events == 0


def test_nobody_connects_to_the_address_they_point_at(outcomes: Outcomes) -> None:
    assert outcomes.listener.calls == 0


def test_nothing_of_the_file_they_point_at_is_among_the_facts(outcomes: Outcomes) -> None:
    assert not [name for name, result in outcomes.results.items() if "CANARY" in repr(result)]


def test_no_command_in_a_name_was_run(outcomes: Outcomes) -> None:
    assert not list(outcomes.canary.parent.rglob("pwned"))
    assert not Path("pwned").exists()


def test_the_watches_would_notice(tmp_path: Path) -> None:
    """The tests above can fail: an opening and a connection are seen."""
    canary = make_canary(tmp_path)
    watch = Watch(canary)
    probe = probe_file(canary, canary.name)
    assert watch.events() > 0
    watch.close()
    assert "CANARY" in repr(probe)
    listener = Listener()
    port = int(listener.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)
    assert listener.calls == 1


def test_a_file_that_goes_or_changes_while_it_is_probed_costs_only_itself(tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp4"
    with pytest.raises(MediaError, match="is gone"):
        probe_file(gone, gone.name)
    gone.mkdir()
    with pytest.raises(MediaError, match="not a regular file"):
        probe_file(gone, gone.name)

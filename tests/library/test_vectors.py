import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.library.serving_vectors import vector_server
from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.chroma import OWNER_LOCK, SERVER_NOTE, owning
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1, EMBEDDINGS_L2, PROBES
from thatdam_pipelines.library.vectors import IndexReport, VectorIndex
from thatdam_pipelines.settings import Settings

DIMENSIONS = 8
SPACE = "model/weights/1"
OTHER_SPACE = "a model with a name\nChroma would refuse: " + "x" * 600


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


def media_id(number: int) -> str:
    return f"{number:032x}"


def unit_vector(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
    return vector / np.linalg.norm(vector)


def write_batch(
    library: Library,
    batch_id: str,
    numbers: range,
    *,
    spaces: tuple[str, ...] = (SPACE,),
    recipe: str = "l-1-aaaaaaaaaa",
) -> None:
    """Media that each have a file vector, two frame vectors and one scene vector in each space."""
    files, frames, scenes, probes = [], [], [], []
    for number in numbers:
        media = media_id(number)
        probes.append(
            {
                "media_id": media,
                "batch_id": batch_id,
                "recipe": "probe-1-0000000000",
                "kind": "video",
                "container": "mov",
            }
            | {"mime": "video/mp4", "duration_s": 2.0, "has_audio": False, "warnings": []}
        )
        for shift, space in enumerate(spaces):
            common = {
                "media_id": media,
                "batch_id": batch_id,
                "recipe": recipe,
                "space": space,
                "dimensions": DIMENSIONS,
            }
            seed = 1000 * shift + 10 * number
            files.append(common | {"frames": 1, "vector": unit_vector(seed)})
            scenes.append(
                common
                | {"scene_id": f"{media}:s000000000", "start_s": 0.0, "end_s": 2.0, "vector": unit_vector(seed + 1)}
            )
            frames += [
                common | {"frame_id": f"{media}:f{ms:09d}", "time_s": ms / 1000, "vector": unit_vector(seed + 2 + ms)}
                for ms in (0, 1000)
            ]
    for table, rows in ((EMBEDDINGS_L0, files), (EMBEDDINGS_L1, frames), (EMBEDDINGS_L2, scenes), (PROBES, probes)):
        library.tables.write(table, batch_id, table.frame(rows))


def test_a_batch_is_indexed_at_every_level_and_found_again(library: Library) -> None:
    write_batch(library, "b1", range(5))
    with VectorIndex(library.settings) as index:
        assert index.index_batch(library, "b1") == IndexReport(
            added=20, removed=0, unchanged=0, expected=20, present=20
        )
        assert index.counts(SPACE) == {"l0": 5, "l1": 10, "l2": 5}
        [hit] = index.query(SPACE, "l1", unit_vector(10 * 3 + 2 + 1000), 1)
        assert (hit.item_id, hit.media_id, hit.level) == (f"{media_id(3)}:f000001000", media_id(3), "l1")
        assert (hit.start_s, hit.end_s) == (1.0, 1.0)
        assert hit.similarity == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(hit.vector, unit_vector(10 * 3 + 2 + 1000), atol=1e-6)
        [file] = index.query(SPACE, "l0", unit_vector(10), 1)
        assert (file.item_id, file.start_s, file.end_s) == (media_id(1), 0.0, 2.0)


def test_indexing_again_adds_nothing(library: Library) -> None:
    write_batch(library, "b1", range(5))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
    with VectorIndex(library.settings) as index:
        assert index.index_batch(library, "b1") == IndexReport(
            added=0, removed=0, unchanged=20, expected=20, present=20
        )


def test_vectors_of_an_old_recipe_and_of_items_that_are_gone_are_removed(library: Library) -> None:
    write_batch(library, "b1", range(5))
    write_batch(library, "b2", range(5, 8))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
        index.index_batch(library, "b2")
        write_batch(library, "b1", range(4), recipe="l-2-bbbbbbbbbb")
        assert index.index_batch(library, "b1") == IndexReport(
            added=16, removed=20, unchanged=0, expected=16, present=16
        )
        assert index.counts(SPACE) == {"l0": 7, "l1": 14, "l2": 7}
        assert index.vector_of(SPACE, "l0", media_id(4)) is None
        assert index.vector_of(SPACE, "l0", media_id(6)) is not None


def test_spaces_never_meet(library: Library) -> None:
    write_batch(library, "b1", range(3), spaces=(SPACE, OTHER_SPACE))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
        assert index.spaces() == sorted([SPACE, OTHER_SPACE])
        assert index.counts(OTHER_SPACE) == {"l0": 3, "l1": 6, "l2": 3}
        assert index.counts("a space nobody filled") == {"l0": 0, "l1": 0, "l2": 0}
        assert index.has_any(OTHER_SPACE, "l1") and not index.has_any("a space nobody filled", "l1")
        assert index.query("a space nobody filled", "l0", unit_vector(1), 5) == []
        np.testing.assert_allclose(index.vector_of(OTHER_SPACE, "l0", media_id(2)), unit_vector(1020), atol=1e-6)
        write_batch(library, "b1", range(3), spaces=(SPACE,))
        index.index_batch(library, "b1")
        assert index.counts(OTHER_SPACE) == {"l0": 0, "l1": 0, "l2": 0}


def test_a_query_among_few_media_finds_all_of_theirs_however_far(library: Library) -> None:
    write_batch(library, "b1", range(60))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
        everything = index.query(SPACE, "l1", unit_vector(7), 120)
        assert len(everything) == 120
        assert [hit.similarity for hit in everything] == sorted((hit.similarity for hit in everything), reverse=True)
        farthest = [hit for hit in everything if hit.media_id == everything[-1].media_id]
        among = index.query(SPACE, "l1", unit_vector(7), 2, {everything[-1].media_id, media_id(999)})
        assert [hit.item_id for hit in among] == [hit.item_id for hit in farthest]
        near = index.query(SPACE, "l1", unit_vector(7), 3, {hit.media_id for hit in everything[:20]})
        assert [hit.item_id for hit in near] == [hit.item_id for hit in everything[:3]]
        assert index.query(SPACE, "l1", unit_vector(7), 3, set()) == []


def test_a_rebuild_from_the_tables_alone_gives_the_same_index(library: Library) -> None:
    write_batch(library, "b1", range(5))
    write_batch(library, "b2", range(5, 9))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
        index.index_batch(library, "b2")
        before = [hit.item_id for hit in index.query(SPACE, "l1", unit_vector(3), 20)]
    shutil.rmtree(library.settings.vectors_dir)
    with VectorIndex(library.settings) as index:
        for _ in range(2):
            assert index.rebuild(library) == IndexReport(added=36, removed=0, unchanged=0, expected=36, present=36)
            assert [hit.item_id for hit in index.query(SPACE, "l1", unit_vector(3), 20)] == before
            assert len(index._connection.client.list_collections()) == 3
        assert index.index_batch(library, "b2").unchanged == 16


def test_a_rebuild_that_died_changes_nothing_and_the_next_one_clears_it_away(library: Library) -> None:
    write_batch(library, "b1", range(5))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
        index._connection.client.create_collection("building-l0-dead-2", embedding_function=None)
    with VectorIndex(library.settings) as index:
        assert index.counts(SPACE)["l0"] == 5
        index.rebuild(library)
        names = [collection.name for collection in index._connection.client.list_collections()]
        assert len(names) == 3
        assert not any(name.startswith("building-") for name in names)


KILLED_WHILE_INDEXING = """
import os, sys
from pathlib import Path
from thatdam_pipelines.library import vectors
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings

class Dying:
    def __init__(self, collection): self.collection = collection
    def __getattr__(self, name): return getattr(self.collection, name)
    def add(self, **items):
        self.collection.add(**items)
        os.kill(os.getpid(), 9)

create = vectors._create_collection
vectors._create_collection = lambda *args: Dying(create(*args))
library = Library(Settings(home=Path(sys.argv[1])))
vectors._ADD_AT_ONCE = 3
vectors.VectorIndex(library.settings).index_batch(library, "b1")
"""


def test_indexing_killed_in_the_middle_converges(library: Library) -> None:
    write_batch(library, "b1", range(5))
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_INDEXING, str(library.settings.home)], check=False)
    assert killed.returncode == -9
    with VectorIndex(library.settings) as index:
        assert index.counts(SPACE)["l0"] == 3
        assert index.index_batch(library, "b1") == IndexReport(
            added=17, removed=0, unchanged=3, expected=20, present=20
        )


HOLDING = """
import sys
from pathlib import Path
from thatdam_pipelines.library.vectors import VectorIndex
from thatdam_pipelines.settings import Settings

with VectorIndex(Settings(home=Path(sys.argv[1]))) as index:
    index.spaces()
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(library: Library) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the vectors open until it is told to go."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(library.settings.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_vectors(library: Library, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(OfflineError, match=rf"process {holder.pid} \(-c .*since 20"):
        VectorIndex(library.settings, wait_s=0.2).counts(SPACE)
    with pytest.raises(OfflineError, match=str(holder.pid)), owning(library.settings.vectors_dir):
        pass


def test_a_second_process_gets_the_vectors_when_the_first_lets_go(
    library: Library, holder: subprocess.Popen[str]
) -> None:
    holder.communicate("go\n")
    with VectorIndex(library.settings, wait_s=20) as index:
        assert index.counts(SPACE) == {"l0": 0, "l1": 0, "l2": 0}


def test_the_lock_of_a_killed_process_does_not_stay(library: Library, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert (library.settings.vectors_dir / OWNER_LOCK).read_text()
    with VectorIndex(library.settings, wait_s=0) as index:
        assert index.spaces() == []


@pytest.fixture
def owned(library: Library) -> Iterator[contextlib.ExitStack]:
    """The lock that whoever runs a server holds, until closed."""
    with contextlib.ExitStack() as owned:
        owned.enter_context(owning(library.settings.vectors_dir))
        yield owned


@pytest.fixture
def server(library: Library, owned: contextlib.ExitStack) -> Iterator[subprocess.Popen[bytes]]:
    with vector_server(library.settings.vectors_dir) as process:
        yield process


def test_while_the_server_runs_everybody_talks_to_it(library: Library, server: subprocess.Popen[bytes]) -> None:
    write_batch(library, "b1", range(5))
    with VectorIndex(library.settings) as writer, VectorIndex(library.settings) as reader:
        assert reader.counts(SPACE)["l0"] == 0
        assert writer.index_batch(library, "b1").present == 20
        assert reader.counts(SPACE) == {"l0": 5, "l1": 10, "l2": 5}
        [hit] = reader.query(SPACE, "l0", unit_vector(20), 1)
        assert hit.media_id == media_id(2)
        writer.rebuild(library)
        assert [found.media_id for found in reader.query(SPACE, "l0", unit_vector(20), 1, [media_id(2)])] == [
            media_id(2)
        ]
        np.testing.assert_allclose(
            reader.vector_of(SPACE, "l2", f"{media_id(2)}:s000000000"), unit_vector(21), atol=1e-6
        )
        assert writer._connection.is_server


def test_a_proxy_of_the_network_is_not_asked_for_the_server(
    library: Library, server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with VectorIndex(library.settings) as index:
        assert index.counts(SPACE)["l0"] == 0
        assert index._connection.is_server
    assert os.environ.get("no_proxy") is None


def test_what_the_server_indexed_is_there_when_it_has_ended(
    library: Library, server: subprocess.Popen[bytes], owned: contextlib.ExitStack
) -> None:
    write_batch(library, "b1", range(2))
    with VectorIndex(library.settings) as index:
        index.index_batch(library, "b1")
    server.terminate()
    server.wait()
    with pytest.raises(OfflineError, match="only one process"):
        VectorIndex(library.settings, wait_s=0).spaces()
    owned.close()
    with VectorIndex(library.settings, wait_s=0) as index:
        assert not index._connection.is_server
        assert index.counts(SPACE) == {"l0": 2, "l1": 4, "l2": 2}


def test_the_note_of_a_server_that_died_is_not_believed_though_another_has_its_port(
    library: Library, server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    note = json.loads((library.settings.vectors_dir / SERVER_NOTE).read_text())
    other = Settings(home=tmp_path / "other home")
    other.vectors_dir.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    (other.vectors_dir / SERVER_NOTE).write_text(json.dumps(note | {"pid": dead.pid}))
    with VectorIndex(other) as index:
        assert not index._connection.is_server

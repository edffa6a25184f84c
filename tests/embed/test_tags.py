from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from thatdam_pipelines.embed.embedder import Embedder, Vectors, open_embedder
from thatdam_pipelines.embed.l1 import embed_l1_batch
from thatdam_pipelines.embed.l2 import embed_l2_batch
from thatdam_pipelines.embed.measured_tags import Look, file_tags, look_tags
from thatdam_pipelines.embed.named_tags import UNRECOGNISED, Vocabulary
from thatdam_pipelines.embed.tags import MEASURE, tag_batch
from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROBES, TAGS
from thatdam_pipelines.samples.tiny import tiny_settings
from thatdam_pipelines.settings import Settings

Embedders = Callable[[str], Embedder]


class Overheard:
    """The tiny model, which keeps count of the words it is asked."""

    def __init__(self) -> None:
        self._model = open_embedder(Settings(**tiny_settings()))
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def embed_text(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return self._model.embed_text(texts)


@pytest.fixture
def tiny(library: Library, tmp_path: Path) -> Overheard:
    """The tiny model with scene vectors of its own, and words it knows."""
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("# places\nstarry night sky\nthe blue sea\nsnowy hills\n\nbrick wall\nelephant\n")
    library.settings = library.settings.model_copy(update={"vocabulary": vocabulary})
    tiny = Overheard()
    embed_l1_batch(library, "b1", tiny)  # type: ignore[arg-type]
    embed_l2_batch(library, "b1", tiny)  # type: ignore[arg-type]
    return tiny


@pytest.fixture
def descriptor(library: Library, embedder_of: Embedders) -> Embedder:
    """An embedder without text, with scene vectors of its own."""
    embedder = embedder_of("descriptor/1")
    embed_l1_batch(library, "b1", embedder)
    embed_l2_batch(library, "b1", embedder)
    return embedder


def tags_of(library: Library, item_id: str, *, measured: bool) -> set[str]:
    rows = library.tables.read(TAGS, "b1").filter(item_id=item_id)
    return set(rows.filter((pl.col("method") == MEASURE) == measured)["tag"])


def test_measures_give_words_to_scenes_and_files(library: Library, ids: dict[str, str], descriptor: Embedder) -> None:
    report = tag_batch(library, "b1", descriptor)
    assert (report.total, report.computed, report.failures) == (3, 3, [])
    assert {"static", "landscape", "silent"} <= tags_of(library, ids["static.mp4"], measured=True)
    night, sea, snow = (f"{ids['three.mp4']}:s{ms:09d}" for ms in (0, 3000, 6000))
    assert "dark" in tags_of(library, night, measured=True)
    assert "blue" in tags_of(library, sea, measured=True)
    assert {"bright", "white"} & tags_of(library, snow, measured=True)
    assert "static" not in tags_of(library, ids["still.jpg"], measured=True)
    rows = library.tables.read(TAGS, "b1")
    assert set(rows["method"]) == {MEASURE}
    assert rows["score"].is_between(0, 1).all()
    assert ids["memo.m4a"] not in set(rows["media_id"])


def test_a_model_with_text_names_what_it_sees(library: Library, ids: dict[str, str], tiny: Overheard) -> None:
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    night, sea, snow = (f"{ids['three.mp4']}:s{ms:09d}" for ms in (0, 3000, 6000))
    assert tags_of(library, night, measured=False) == {"starry night sky"}
    assert tags_of(library, sea, measured=False) == {"the blue sea"}
    assert tags_of(library, snow, measured=False) == {"snowy hills"}
    assert tags_of(library, ids["three.mp4"], measured=False) == {"starry night sky", "the blue sea", "snowy hills"}
    named = library.tables.read(TAGS, "b1").filter(pl.col("method") != MEASURE)
    assert set(named["method"]) == {tiny.space}
    assert named["score"].is_between(0.8, 1).all()


def test_a_file_in_which_no_word_is_seen_says_so(library: Library, ids: dict[str, str], tiny: Overheard) -> None:
    library.settings.vocabulary.write_text("elephant\n")  # type: ignore[union-attr]
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    assert tags_of(library, ids["three.mp4"], measured=False) == {UNRECOGNISED}


def test_a_rerun_asks_no_word_and_changes_nothing(library: Library, tiny: Overheard) -> None:
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    stamp = library.tables.stamps(TAGS)
    assert len(tiny.asked) == 5 + 4
    again = tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    assert (again.computed, again.reused) == (0, 3)
    assert len(tiny.asked) == 5 + 4
    assert library.tables.stamps(TAGS) == stamp


def test_another_vocabulary_names_anew_and_measures_nothing(
    library: Library, ids: dict[str, str], tiny: Overheard
) -> None:
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    measured = library.tables.read(TAGS, "b1").filter(method=MEASURE)
    library.settings.vocabulary.write_text("ocean waves\nwinter hills\n")  # type: ignore[union-attr]
    assert tag_batch(library, "b1", tiny).computed == 3  # type: ignore[arg-type]
    assert library.tables.read(TAGS, "b1").filter(method=MEASURE).equals(measured)
    assert tags_of(library, f"{ids['three.mp4']}:s000003000", measured=False) == {"ocean waves"}


@pytest.mark.parametrize("left", [None, b"", b"no vectors"], ids=["kept", "emptied", "damaged"])
def test_a_models_words_are_embedded_once_a_library(library: Library, tiny: Overheard, left: bytes | None) -> None:
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    made = library.tables.read(TAGS, "b1")
    asked = len(tiny.asked)
    (kept,) = library.settings.vocabulary_dir.iterdir()
    if left is not None:
        kept.write_bytes(left)
    library.tables.write(TAGS, "b1", made.clear())
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    assert library.tables.read(TAGS, "b1").equals(made)
    assert len(tiny.asked) == (asked if left is None else 2 * asked)


def test_words_a_model_gave_stay_while_one_without_text_serves(
    library: Library, ids: dict[str, str], tiny: Overheard, descriptor: Embedder
) -> None:
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    before = library.tables.read(TAGS, "b1")
    assert tag_batch(library, "b1", descriptor).computed == 0
    assert library.tables.read(TAGS, "b1").equals(before)


def test_a_word_that_is_measured_too_is_given_once(library: Library, ids: dict[str, str], tiny: Overheard) -> None:
    library.settings.vocabulary.write_text("starry night sky\ndark\n")  # type: ignore[union-attr]
    tag_batch(library, "b1", tiny)  # type: ignore[arg-type]
    dark = library.tables.read(TAGS, "b1").filter(item_id=f"{ids['three.mp4']}:s000000000", tag="dark")
    assert dark["method"].to_list() == [MEASURE]


def test_a_vocabulary_that_cannot_be_read_is_refused_by_name(library: Library, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    for path in (tmp_path / "missing.txt", empty):
        with pytest.raises(SettingsError, match="THATDAM_VOCABULARY"):
            Vocabulary.of(library.settings.model_copy(update={"vocabulary": path}))


def test_the_vocabulary_that_ships_has_words_once_each(settings: Settings) -> None:
    words = Vocabulary.of(settings).words
    assert len(words) == len(set(words)) > 150
    assert not any(word.startswith("#") for word in words)


def look(**changed: object) -> dict[str, float]:
    plain: dict[str, object] = {
        "sharpness": [200.0],
        "brightness": [0.45],
        "contrast": [0.2],
        "saturation": [0.3],
        "colors": [["#808080"]],
        "motion": 0.2,
    }
    return look_tags(Look(**(plain | changed)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "tag"),
    [
        ({"brightness": [0.05]}, "dark"),
        ({"brightness": [0.9]}, "bright"),
        ({"saturation": [0.01]}, "black and white"),
        ({"saturation": [0.8]}, "colourful"),
        ({"sharpness": [4.0, 9.0]}, "blurry"),
        ({"motion": 0.005}, "static"),
        ({"motion": 0.9}, "fast motion"),
        ({"colors": [["#d81c24", "#808080"], ["#808080", "#d81c24"]]}, "red"),
    ],
)
def test_each_word_has_a_measure_that_gives_it(changed: dict[str, object], tag: str) -> None:
    assert set(look(**changed)) == {tag}
    assert 0.4 <= look(**changed)[tag] <= 1


def test_an_ordinary_stretch_gets_no_word_and_a_black_one_is_not_called_blurry() -> None:
    assert look() == {}
    black = look(brightness=[0.0], contrast=[0.0], sharpness=[0.0], saturation=[0.0], colors=[["#000000"]])
    assert set(black) == {"dark"}


def test_a_file_is_told_by_its_probe(library: Library, ids: dict[str, str]) -> None:
    probe = library.tables.read(PROBES, "b1").filter(media_id=ids["three.mp4"]).to_dicts()[0]
    assert set(file_tags(probe)) == {"landscape"}
    turned = {
        "display_width": 2160,
        "display_height": 3840,
        "average_rate_fps": 120.0,
        "hdr": "hlg",
        "has_audio": False,
    }
    assert set(file_tags(probe | turned)) == {"portrait", "vertical", "4k", "slow motion", "hdr", "silent"}

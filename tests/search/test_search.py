"""Search over the sample footage, ingested by real runs with the tiny open_clip model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings


def test_the_right_scene_is_first_for_nine_of_ten_captions_within_half_a_second(footage: Any) -> None:
    asked, right = 0, 0
    with Searcher(footage.settings) as searcher:
        for file in footage.files:
            for shown in file.shown if len(file.shown) > 1 else []:
                asked += 1
                moments = searcher.search(Query(text=shown.caption, level="l2", limit=5)).moments
                right += bool(
                    moments
                    and Path(moments[0].path) == file.path
                    and abs(moments[0].start_s - shown.start_s) <= 0.5
                    and abs(moments[0].end_s - shown.end_s) <= 0.5
                )
    assert asked >= 30
    assert right >= 0.9 * asked, f"{right} of {asked}"


def test_every_moment_says_why_and_every_answer_which_embedder_serves(footage: Any) -> None:
    shown = footage.files[0].shown[0]
    with Searcher(footage.settings) as searcher:
        result = searcher.search(Query(text=shown.caption))
    assert result.moments[0].reasons and "is like the query" in " ".join(result.moments[0].reasons)
    assert "thatdam-tiny" in result.embedder and any("thatdam-tiny" in note for note in result.notes)
    scores = [moment.score for moment in result.moments]
    assert scores == sorted(scores, reverse=True) and all(0 < score <= 1 for score in scores)


def test_a_name_or_a_part_of_one_finds_the_file(footage: Any) -> None:
    with Searcher(footage.settings) as searcher:
        for text in ("CLIP0002", "LIP0002", "clip0002.mov"):
            assert Path(searcher.search(Query(text=text)).moments[0].path).name == "CLIP0002.MOV", text


def test_a_condition_is_resolved_before_the_limit_so_the_filter_hides_nothing(footage: Any) -> None:
    wanted = next(file for file in footage.files if file.path.name == "IMG_0003.JPG")
    with Searcher(footage.settings) as searcher:
        anything = Query(text=footage.files[0].shown[0].caption, where="kind = 'image'", limit=1, level="l1")
        only = searcher.search(Query(text=wanted.shown[0].caption, where="kind = 'image'", limit=1)).moments
        none = searcher.search(Query(text=wanted.shown[0].caption, where="kind = 'audio'")).moments
        assert {Path(moment.path).name for moment in searcher.search(anything).moments} <= {"IMG_0003.JPG"}
    assert [Path(moment.path).name for moment in only] == ["IMG_0003.JPG"]
    assert none == []


def test_a_wrong_condition_and_an_empty_query_are_refused_with_the_next_step(footage: Any) -> None:
    with Searcher(footage.settings) as searcher:
        with pytest.raises(QueryError, match="no_such_column"):
            searcher.search(Query(text="x", where="no_such_column = 1"))
        with pytest.raises(QueryError, match="nothing to look for"):
            searcher.search(Query(text="  "))


def test_a_picture_finds_the_moment_it_was_taken_from(footage: Any, tmp_path: Path) -> None:
    clip = footage.files[1]
    picture = tmp_path / "frame.png"
    shown = clip.shown[2]
    write_frame_of(clip.path, (shown.start_s + shown.end_s) / 2, picture)
    with Searcher(footage.settings) as searcher:
        first = searcher.search(Query(image=picture, level="l2")).moments[0]
    assert Path(first.path) == clip.path
    assert first.start_s - 0.5 <= (shown.start_s + shown.end_s) / 2 <= first.end_s + 0.5


def test_a_picture_that_cannot_be_read_is_named(footage: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    with Searcher(footage.settings) as searcher, pytest.raises(QueryError, match=r"broken\.jpg"):
        searcher.search(Query(image=broken))


def test_an_empty_library_answers_plainly(settings: Settings) -> None:
    with Searcher(settings) as searcher:
        result = searcher.search(Query(text="anything"))
    assert result.moments == []
    assert any("Nothing is indexed" in note for note in result.notes)
    assert any("Nothing is in the text index" in note for note in result.notes)


def test_words_that_no_picture_shows_find_nothing(footage: Any) -> None:
    with Searcher(footage.settings) as searcher:
        assert searcher.search(Query(text="quarterly tax declaration form")).moments == []


def test_moments_keep_the_order_of_similarity_within_one_level(footage: Any) -> None:
    with Searcher(footage.settings) as searcher:
        vector = searcher.embedder.embed_text([footage.files[0].shown[0].caption])[0]
        hits = searcher.vectors.query(searcher.embedder.space, "l2", vector, 5)
        moments = searcher.search(Query(text=footage.files[0].shown[0].caption, level="l2", limit=5)).moments
    assert np.all(np.diff([hit.similarity for hit in hits]) <= 0)
    assert moments[0].media_id == hits[0].media_id


def write_frame_of(clip: Path, time_s: float, picture: Path) -> None:
    import av

    with av.open(str(clip)) as container:
        frame = next(f for f in container.decode(video=0) if f.time is not None and f.time >= time_s)
        Image.fromarray(frame.to_ndarray(format="rgb24")).save(picture)

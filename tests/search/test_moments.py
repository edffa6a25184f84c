"""How hits become moments."""

from thatdam_pipelines.search.moments import Evidence, fuse


def scene(media: str, start: float, end: float, strength: float) -> Evidence:
    return Evidence("scenes", media, start, end, strength, f"scene {strength}")


def frame(media: str, time: float, strength: float) -> Evidence:
    return Evidence("frames", media, time, time + 1, strength, f"frame {strength}")


def test_frames_join_the_scene_that_covers_them_and_do_not_widen_it() -> None:
    spans = fuse([scene("a", 4.0, 8.0, 0.5), frame("a", 4.0, 0.4), frame("a", 7.5, 0.6)])
    assert [(span.start_s, span.end_s, span.level) for span in spans] == [(4.0, 8.0, "l2")]
    assert spans[0].reasons() == ["frame 0.6", "scene 0.5"]


def test_many_frames_of_one_scene_do_not_push_the_next_scene_down_the_ranking() -> None:
    crowd = [frame("a", float(second), 0.9 - second / 100) for second in range(10)]
    spans = fuse([scene("a", 0, 10, 0.9), scene("b", 0, 5, 0.8), frame("b", 1.0, 0.5), *crowd])
    assert [span.media_id for span in spans] == ["a", "b"]
    assert spans[1].score > 0.95


def test_neighbouring_frames_without_a_scene_are_one_moment_and_distant_ones_are_two() -> None:
    spans = fuse([frame("a", 1.0, 0.5), frame("a", 2.0, 0.4), frame("a", 30.0, 0.3)])
    assert [(span.start_s, span.end_s) for span in spans] == [(1.0, 3.0), (30.0, 31.0)]


def test_two_scenes_that_touch_stay_two_moments() -> None:
    assert len(fuse([scene("a", 0, 4, 0.5), scene("a", 4, 8, 0.4)])) == 2


def test_a_word_about_the_whole_file_lifts_its_scenes_and_stands_alone_where_there_are_none() -> None:
    name_a = Evidence("text", "a", 0, 9, 1.0, "name", whole_file=True)
    name_b = Evidence("text", "b", 0, 7, 0.9, "name", whole_file=True)
    spans = fuse([name_a, name_b, scene("a", 0, 4, 0.5), scene("c", 0, 4, 0.6)])
    assert spans[0].media_id == "a" and set(spans[0].reasons()) == {"name", "scene 0.5"}
    alone = next(span for span in spans if span.media_id == "b")
    assert (alone.level, alone.start_s, alone.end_s) == ("l0", 0.0, 7.0)


def test_first_by_every_source_scores_one_and_order_is_stable_for_equal_scores() -> None:
    spans = fuse([scene("b", 0, 4, 0.5), frame("b", 1, 0.5), scene("a", 0, 4, 0.5), frame("a", 1, 0.5)])
    assert [(span.media_id, span.score) for span in spans] == [("a", 1.0), ("b", 1.0)]
    assert fuse([]) == []


def test_a_name_that_was_asked_for_outweighs_every_likeness() -> None:
    name = Evidence("text", "a", 0, 9, 0.1, "name", whole_file=True, weight=4.0)
    look = [scene("b", 0, 4, 0.9), frame("b", 1, 0.9)]
    assert [span.media_id for span in fuse([name, *look])] == ["a", "b"]

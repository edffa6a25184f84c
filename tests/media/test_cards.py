"""Camera cards are recognised by their folders and chapters by their names."""

import pytest

from thatdam_pipelines.media.cards import CardPlace, read_structure


def test_gopro_chapters_are_one_take_in_order() -> None:
    places = read_structure(
        ["card/DCIM/100GOPRO/GX010123.MP4", "card/DCIM/100GOPRO/GX020123.MP4", "card/DCIM/100GOPRO/GX010124.MP4"]
    )
    first, second, other = places.values()
    assert first.take_id == second.take_id != other.take_id
    assert (first.chapter, second.chapter, other.chapter) == (1, 2, 1)
    assert {place.card_type for place in places.values()} == {"GoPro"}


def test_old_gopro_names_number_chapters_from_the_first_file() -> None:
    places = read_structure(["GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4", "GOPR0043.MP4"])
    assert [places[name].chapter for name in ("GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4")] == [1, 2, 3]
    assert len({places[name].take_id for name in ("GOPR0042.MP4", "GP010042.MP4", "GP020042.MP4")}) == 1
    assert places["GOPR0043.MP4"].take_id != places["GOPR0042.MP4"].take_id


def test_gopro_chapters_are_linked_without_the_card_around_them() -> None:
    place = read_structure(["holiday/GH020007.MP4"])["holiday/GH020007.MP4"]
    assert place.card_id is None
    assert place.chapter == 2


def test_gopro_low_resolution_twin_is_no_chapter() -> None:
    place = read_structure(["DCIM/100GOPRO/GL010123.LRV"])["DCIM/100GOPRO/GL010123.LRV"]
    assert (place.card_type, place.take_id, place.chapter) == ("GoPro", None, None)


def test_same_number_in_two_folders_is_two_takes() -> None:
    places = read_structure(["a/DCIM/100GOPRO/GX010001.MP4", "b/DCIM/100GOPRO/GX010001.MP4"])
    one, two = places.values()
    assert one.take_id != two.take_id
    assert one.card_id != two.card_id


def test_two_cards_with_the_same_names_are_two_cards_and_their_takes_two_takes() -> None:
    name = "DCIM/100GOPRO/GX010001.MP4"
    one, two = (read_structure([name], root)[name] for root in ("/media/a", "/media/b"))
    assert one.take_id != two.take_id
    assert one.card_id != two.card_id


def test_a_card_is_the_same_whichever_of_its_folders_was_given() -> None:
    (whole,) = read_structure(["DCIM/100GOPRO/GX010001.MP4"], "/media/card").values()
    (inner,) = read_structure(["100GOPRO/GX010001.MP4"], "/media/card/DCIM").values()
    (innermost,) = read_structure(["GX010001.MP4"], "/media/card/DCIM/100GOPRO").values()
    assert whole == inner == innermost
    assert whole.card_type == "GoPro" and whole.card_id is not None


@pytest.mark.parametrize(
    ("path", "card_type"),
    [
        ("c/DCIM/100CANON/MVI_0001.MOV", "DCIM"),
        ("c/DCIM/100APPLE/IMG_0001.HEIC", "DCIM"),
        ("c/DCIM/Camera/VID_20240101.mp4", "DCIM"),
        ("c/DCIM/DJI_001/DJI_20240101120000_0001_D.MP4", "DJI"),
        ("c/DCIM/100MEDIA/DJI_0001.MP4", "DJI"),
        ("c/DCIM/Camera01/VID_20240101_120000_00_001.insv", "Insta360"),
        ("c/PRIVATE/M4ROOT/CLIP/C0001.MP4", "XAVC"),
        ("c/PRIVATE/M4ROOT/CLIP/C0001M01.XML", "XAVC"),
        ("c/XDROOT/Clip/C0001.MXF", "XDCAM"),
        ("c/BPAV/CLPR/709_0001_01/709_0001_01.MP4", "XDCAM EX"),
        ("c/CONTENTS/VIDEO/0001AB.MXF", "P2"),
        ("c/CONTENTS/CLIP/0001AB.XML", "P2"),
        ("c/CONTENTS/CLIPS001/A001C001.MXF", "XF"),
        ("c/AVCHD/BDMV/STREAM/00000.MTS", "AVCHD"),
        ("c/PRIVATE/AVCHD/BDMV/STREAM/00001.MTS", "AVCHD"),
        ("c/private/avchd/bdmv/stream/00001.mts", "AVCHD"),
        ("c/BDMV/STREAM/00000.MTS", "AVCHD"),
        ("c/A001_C001_0101AB.RDC/A001_C001_0101AB_001.R3D", "RED"),
    ],
)
def test_structure_is_recognised_and_its_top_is_the_card(path: str, card_type: str) -> None:
    place = read_structure([path])[path]
    assert place.card_type == card_type
    beside = "c/DCIM/999OTHER/X.JPG"
    assert place.card_id == read_structure([beside])[beside].card_id


@pytest.mark.parametrize(
    ("path", "card_type"),
    [
        ("reel/A001C005_190101_R1AB.mxf", "ARRI"),
        ("reel/A_0001C002_190101_123456_h1AB.mxf", "ARRI"),
        ("reel/A001_01011234_C001.braw", "Blackmagic"),
    ],
)
def test_flat_cinema_reels_are_recognised_by_their_names(path: str, card_type: str) -> None:
    assert read_structure([path])[path].card_type == card_type


def test_red_segments_of_a_clip_are_one_take() -> None:
    clip = "A001.RDM/A001_C001_0101AB.RDC/A001_C001_0101AB"
    places = read_structure([f"{clip}_001.R3D", f"{clip}_002.R3D"])
    one, two = places.values()
    assert one.take_id == two.take_id
    assert (one.chapter, two.chapter) == (1, 2)
    assert one.card_id == two.card_id


def test_ordinary_files_are_left_out() -> None:
    assert read_structure(["notes.txt", "wedding/clip one.mp4", "a/b/c/IMG.jpg"]) == {}


def test_ids_do_not_depend_on_the_other_files_of_the_batch() -> None:
    path = "card/DCIM/100GOPRO/GX020123.MP4"
    alone = read_structure([path])[path]
    among = read_structure(["x.mp4", "card/DCIM/100GOPRO/GX010123.MP4", path])[path]
    assert alone == among == CardPlace(alone.card_id, "GoPro", alone.take_id, 2)


def test_names_that_are_not_text_are_taken_as_they_are() -> None:
    path = "c\udcff/DCIM/100GOPRO/GX010001.MP4"
    assert read_structure([path])[path].chapter == 1

"""XMP: what other programs write is read, what we write they read, what is hostile does no harm."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.curation import Curation
from thatdam_pipelines.media.xmp import MOST_BYTES, is_ours, read_xmp, write_xmp

SAID = Curation(
    "0" * 32, rating=4, pick="pick", label="Red", title="First <kiss> & more", description="In the rain.\nAt night.",
    people=("Ada", "Émile"), licence="CC BY 4.0", owner="Studio Ada", releases=("model: Ada",),
    rights_expire=date(2030, 1, 31), tags=("place/city/Paris", "sun"), version=1,
)  # fmt: skip

LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:d="http://ns.adobe.com/xmp/1.0/DynamicMedia/"
    xmp:Rating="3" xmp:Label="Yellow" d:pick="1">
   <dc:title><rdf:Alt><rdf:li xml:lang="de">Kuss</rdf:li><rdf:li xml:lang="x-default">Kiss</rdf:li></rdf:Alt></dc:title>
   <dc:subject><rdf:Bag><rdf:li>Paris</rdf:li><rdf:li>city</rdf:li><rdf:li>rain</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>place|city|Paris</rdf:li></rdf:Bag></lr:hierarchicalSubject>
   <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Ada</rdf:li></rdf:Alt></dc:rights>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""

DIGIKAM = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:digiKam="http://www.digikam.org/ns/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<xmp:Rating>5</xmp:Rating>
<digiKam:TagsList><rdf:Seq><rdf:li>place/sea</rdf:li><rdf:li>sun</rdf:li></rdf:Seq></digiKam:TagsList>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def test_what_lightroom_and_digikam_write_is_read() -> None:
    lightroom = read_xmp(LIGHTROOM.encode(), "a.xmp")
    assert (lightroom.rating, lightroom.label, lightroom.pick, lightroom.title) == (3, "Yellow", "pick", "Kiss")
    assert (lightroom.tags, lightroom.licence) == (("place/city/Paris", "rain"), "(c) Ada")
    digikam = read_xmp(DIGIKAM.encode(), "a.xmp")
    assert (digikam.rating, digikam.tags) == (5, ("place/sea", "sun"))


def test_what_is_written_is_read_as_it_was() -> None:
    packet = write_xmp(SAID)
    change = read_xmp(packet, "a.xmp")
    assert is_ours(packet) and not is_ours(LIGHTROOM.encode())
    assert replace(SAID, **change.values(), tags=change.tags) == SAID


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co", "Cf", "Zl", "Zp")), max_size=40)


@given(
    title=TEXT, people=st.lists(TEXT.filter(str.strip), max_size=3, unique=True), rating=st.integers(1, 5),
    pick=st.sampled_from(["pick", "reject", None]),
    tags=st.lists(st.sampled_from(["a/b", "a/c d", "é/ü/ß", "z"]), unique=True),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_any_text_makes_the_round_trip(title: str, people: list[str], rating: int, pick: str, tags: list[str]) -> None:
    from thatdam_pipelines.library.curation import change_of

    said = change_of(title=title, people=people, rating=rating, pick=pick, tags=tags)
    now = Curation("0" * 32, **said.values(), tags=said.tags or ())
    read = read_xmp(write_xmp(now), "a.xmp")
    assert (read.title, read.people, read.rating, read.pick) == (said.title, said.people, rating, pick)
    assert set(read.tags or ()) == set(tags)


@pytest.mark.parametrize(
    ("rating", "stars", "pick"), [("-1", None, "reject"), ("0", None, None), ("5", 5, None), ("3.0", 3, None),
                                  ("99", None, None), ("five", None, None), ("nan", None, None)],
)  # fmt: skip
def test_a_rating_of_minus_one_is_a_reject_and_nonsense_is_none(rating: str, stars: int | None, pick: str) -> None:
    change = read_xmp(DIGIKAM.replace(">5<", f">{rating}<").encode(), "a.xmp")
    assert (change.rating, change.pick) == (stars, pick)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "packet",
    [BOMB + "<x>&b;</x>", FILE + "<x>&f;</x>", '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd"><x/>', "no xml", "",
     "<x>", "<a>" * 5000, "\0" * 100, "<x>" + " " * MOST_BYTES + "</x>"],
)  # fmt: skip
def test_what_is_hostile_or_broken_is_refused_plainly(packet: str) -> None:
    with pytest.raises(MediaError, match=r"a\.xmp: its XMP"):
        read_xmp(packet.encode(), "a.xmp")


def test_values_that_cannot_be_kept_are_made_such_that_they_can() -> None:
    wild = LIGHTROOM.replace(">Kiss<", f">{'x' * 9000}&#9;<").replace("place|city|Paris", "|a/b||" + "c" * 999)
    change = read_xmp(wild.encode(), "a.xmp")
    assert change.title == "x" * 500 and change.tags is not None
    assert change.tags[0] == f"a b/{'c' * 100}"

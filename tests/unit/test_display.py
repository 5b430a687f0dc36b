"""How results show themselves."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

from lastfm_dask.display import Shown, Table
from lastfm_dask.memory.sizes import Size
from lastfm_dask.recommender.results import (
    POPULARITY,
    Contribution,
    Explanation,
    Like,
    Recommendations,
    RecommendedArtist,
    Similar,
    SimilarArtist,
    UnknownName,
    User,
)

NASTY = "<script>alert(1)</script>"


class Of(Shown):
    def __init__(self, *table):
        self.table = Table(*table)

    def _table(self):
        return self.table


class Cells(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(html)

    def handle_starttag(self, tag, _attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_text_is_aligned_numbers_to_the_right():
    shown = Of("title", ("artist", "plays"), [("björk", 1234), ("a longer name", 5)])
    assert repr(shown).split("\n") == [
        "title",
        "artist         plays",
        "björk          1,234",
        "a longer name      5",
    ]


def test_html_escapes_what_comes_from_data():
    cells = Cells(Of(NASTY, ("artist",), [(NASTY,)], NASTY)._repr_html_())
    assert "script" not in cells.tags
    assert cells.texts.count(NASTY) == 3


def test_long_tables_say_what_is_left_out_and_a_data_frame_has_all():
    shown = Of("t", ("n", "x"), [(i, float(i)) for i in range(100)])
    assert "70 more rows" in repr(shown)
    assert "70 more rows" in shown._repr_html_()
    frame = shown.to_pandas()
    assert frame["n"].tolist() == list(range(100))
    assert frame.columns.tolist() == ["n", "x"]


def test_an_empty_table_still_shows():
    shown = Of("nothing", ("artist", "score"), [])
    assert repr(shown) == "nothing"
    assert "nothing" in shown._repr_html_()
    assert shown.to_pandas().shape == (0, 2)


USER = User(None, (Like("sigur rós", 30),), (UnknownName("radiohaed", ("radiohead",)),))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            Recommendations(User("ann"), (RecommendedArtist("muse", 0.5, 3, 29),)),
            ["Recommended for ann", "muse", "0.5000", "29"],
        ),
        (
            Recommendations(USER, (), POPULARITY),
            ["most popular", "sigur rós (30)", "not known: 'radiohaed' (near: radiohead)"],
        ),
        (Similar("muse", (SimilarArtist("coldplay", 0.25, 38),)), ["Most like muse", "coldplay", "0.2500"]),
        (
            Explanation(User("ann"), "muse", 0.5, (Contribution("u2", 0.4),), 0.1),
            ["Why muse scores 0.5000 for ann", "u2", "remainder 0.1"],
        ),
    ],
)
def test_results_say_what_one_wants_to_know(result, words):
    for text in (repr(result), "".join(Cells(result._repr_html_()).texts)):
        for word in words:
            assert word in text
    assert len(result.to_pandas()) == len(result._table().rows)


class Facts(Shown):
    def _table(self):
        return Table("t", ("a",), [(1,)], facts=[("users", "1,234"), ("a longer name", "x\x1b[31m")])


def test_facts_stand_above_the_rows():
    assert repr(Facts()).split("\n") == [
        "t",
        "users          1,234",
        "a longer name  x\\x1b[31m",
        "",
        "a",
        "1",
    ]
    assert "1,234" in Cells(Facts()._repr_html_()).texts


def test_sizes_are_short_texts_in_a_table_and_numbers_in_a_data_frame():
    shown = Of("t", ("stage", "projected"), [("scan", Size(16 << 20)), ("index", Size(3 << 10))])
    assert repr(shown).split("\n")[2:] == ["scan    16.0 MiB", "index    3.0 KiB"]
    assert shown.to_pandas()["projected"].tolist() == [16 << 20, 3 << 10]


def test_a_number_that_is_missing_is_a_dash():
    assert "–" in repr(Of("t", ("a", "b"), [(None, 1.0)]))
    assert "nan" in repr(Of("t", ("a",), [(math.nan,)]))

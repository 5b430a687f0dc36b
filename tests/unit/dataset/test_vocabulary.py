"""Names, their indices, and near names."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.dataset import nearness
from lastfm_dask.dataset.name_index import NameIndex, key_of
from lastfm_dask.dataset.nearness import fold
from lastfm_dask.dataset.vocabulary import _SCANS, Vocabulary
from lastfm_dask.errors import UnknownNameError

NAMES = [
    "radiohead",
    "the beatles",
    "sigur rós",
    "björk",
    "mötley crüe",
    "simon & garfunkel",
    "trentemøller",
    "beatless",
    "sigurd",
    "nan",
    "null",
    "none",
    "",
    "Кино",
    "宇多田ヒカル",
    'the "quoted"',
]


@pytest.fixture
def artists(tmp_path) -> Vocabulary:
    path = tmp_path / "artists.parquet"
    pq.write_table(pa.table({"artist": NAMES, "listeners": range(len(NAMES))}), path, row_group_size=5)
    return Vocabulary(path, "artist")


def test_finds_every_name_and_no_other(artists):
    assert len(artists) == len(NAMES)
    assert [artists.find(name) for name in NAMES] == list(range(len(NAMES)))
    asked = [*NAMES[::-1], "Radiohead", "radiohea", "\udcff"]
    assert artists.find_all(asked) == [*range(len(NAMES))[::-1], None, None, None]
    assert artists.find_all([]) == []
    assert artists.find("\udcff") is None
    assert artists.names([3, 0, 3]) == ["björk", "radiohead", "björk"]
    assert artists.name(9) == "nan"
    assert artists.numbers("listeners").tolist() == list(range(len(NAMES)))


def test_asked_often_it_finds_the_same_through_an_index(artists):
    asked = [*NAMES, "radiohea", "Radiohead", "radiohead ", "x" * 100]
    scanned = artists.find_all(asked)
    for _ in range(_SCANS):
        assert artists.find_all(asked) == scanned
    assert "_index" in vars(artists)
    assert [artists.find(name) for name in asked] == scanned


@given(st.lists(st.text(max_size=20), max_size=30, unique=True), st.text(max_size=20), st.integers(0, 3))
def test_keys_of_all_names_are_those_of_each(names, other, offset):
    array = pa.array(names, pa.string())[offset:]
    index = NameIndex(array)
    for position, name in enumerate(array.to_pylist()):
        assert position in index.candidates(name).tolist()
    for position in index.candidates(other).tolist():
        assert key_of(array[position].as_py().encode()) == key_of(other.encode())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sigur ros", "sigur rós"),
        ("Sigur Ros", "sigur rós"),
        ("SIGUR RÓS", "sigur rós"),
        ("sigur rós".replace("ó", "o\u0301"), "sigur rós"),
        ("beatles", "the beatles"),
        ("the beatels", "the beatles"),
        ("bjork", "björk"),
        ("the björk", "björk"),
        ("motley crue", "mötley crüe"),
        ("simon and garfunkel", "simon & garfunkel"),
        ("trentemoller", "trentemøller"),
        ("raidohead", "radiohead"),
        ("radio head", "radiohead"),
        ("radiohed", "radiohead"),
        ("кино", "Кино"),
        ("宇多田ヒカ", "宇多田ヒカル"),
        ("quoted", 'the "quoted"'),
    ],
)
def test_near_name_first(artists, typed, meant):
    assert artists.near(typed)[0] == meant


def test_pieces_of_names_give_the_same_near_names(monkeypatch):
    rng = random.Random(3)
    names = ["".join(rng.choices("abé ", k=rng.randrange(1, 7))) for _ in range(300)]
    whole = [nearness.FoldedNames(pa.array(names)).nearest(name, 5) for name in names]
    monkeypatch.setattr(nearness, "_AT_ONCE", 7)
    assert [nearness.FoldedNames(pa.array(names)).nearest(name, 5) for name in names] == whole
    assert [nearness.nearest_of(pa.array(names), name, 5) for name in names] == whole


def test_nothing_is_near_what_is_far(artists):
    assert artists.near("zzzzzzzzzzzzzz") == ()
    assert artists.near("\udcff") == ()


def test_unknown_name_carries_near_ones(artists):
    with pytest.raises(UnknownNameError, match="did you mean 'sigur rós'") as caught:
        artists.index("sigur ros")
    assert caught.value.name == "sigur ros"
    assert caught.value.near[0] == "sigur rós"


def test_any_single_edit_of_a_long_name_is_found(artists):
    rng = random.Random(7)
    for name in (name for name in NAMES if len(name) >= 8):
        for _ in range(20):
            at = rng.randrange(len(name))
            edited = rng.choice(
                [name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], name[:at] + "x" + name[at + 1 :]]
            )
            assert name in artists.near(edited, n=3), edited


def test_folding_is_idempotent():
    for name in NAMES:
        assert fold(fold(name)) == fold(name)


def test_it_behaves_as_a_sequence():
    names = [f"n{i}" for i in range(40_000)]
    vocabulary = Vocabulary.of(pa.array(names), "artist")
    assert list(vocabulary) == names
    assert (vocabulary[0], vocabulary[-1], vocabulary[39_999]) == ("n0", "n39999", "n39999")
    assert "n17" in vocabulary
    assert "m17" not in vocabulary
    assert 17 not in vocabulary
    with pytest.raises(IndexError, match="index 40000 of 40000 artists"):
        vocabulary[40_000]
    assert repr(vocabulary) == "<40,000 artists: 'n0', 'n1', 'n2', …>"

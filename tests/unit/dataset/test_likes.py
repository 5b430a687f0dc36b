"""Likes as people write them."""

from __future__ import annotations

import pytest

from lastfm_dask.dataset.likes import read_like, read_like_file, read_likes, summed
from lastfm_dask.errors import BadInputError

KNOWN = {"1+1=2", "a=b", "radiohead"}


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("radiohead", ("radiohead", 30)),
        ("radiohead=7", ("radiohead", 7)),
        ("1+1=2", ("1+1=2", 30)),
        ("1+1=2=5", ("1+1=2", 5)),
        ("a=b", ("a=b", 30)),
        ("=", ("=", 30)),
        ("x=007", ("x", 7)),
        ("x=2147483647", ("x", 2147483647)),
    ],
)
def test_an_exact_name_wins_over_a_split(text, like):
    assert read_like(text, KNOWN.__contains__) == like


@pytest.mark.parametrize(
    "text",
    ["", "  ", "=3", "x=0", "x=2147483648", "x=" + "9" * 5000, "x=y", "x=", "x=-3", "x=٣", "radiohead=lots"],
)
def test_what_is_no_like(text):
    with pytest.raises(BadInputError):
        read_like(text, KNOWN.__contains__)


def test_a_file_of_likes():
    lines = ["radiohead\t12", "", "sigur rós\r\n", "a=b=3", "  ", "x\ty\t4"]
    assert read_like_file(lines) == [("radiohead", 12), ("sigur rós", 30), ("a=b=3", 30), ("x\ty", 4)]


@pytest.mark.parametrize("line", ["x\tmany", "x\t0", "\t4", "x\t2147483648"])
def test_a_line_that_is_no_like_is_named(line):
    with pytest.raises(BadInputError, match=r"likes\.tsv, line 2") as caught:
        read_like_file(["radiohead", line], "likes.tsv")
    assert caught.value.line == 2


def test_a_file_without_likes():
    with pytest.raises(BadInputError, match="names no artist"):
        read_like_file(["", " "])


def test_plays_that_are_not_a_number_say_what_was_found():
    with pytest.raises(BadInputError, match=r"whole number from 1 .*found 'lots'"):
        read_like("radiohead=lots")


def test_only_a_text_that_holds_an_equals_sign_is_looked_up():
    asked = []
    read_likes(["radiohead", "a=3", "radiohead"], lambda name: asked.append(name) or False)
    assert asked == ["a=3"]


def test_several_likes_of_one_name_are_added_up():
    assert read_likes(["a=3", "b", "a"]) == {"a": 33, "b": 30}


def test_the_same_artist_twice_is_added_up():
    assert summed([(3, 5), (1, 2), (3, 6)]) == {3: 11, 1: 2}
    assert summed([(3, 2**31 - 1), (3, 6)]) == {3: 2**31 - 1}

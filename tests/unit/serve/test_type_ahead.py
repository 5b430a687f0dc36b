"""The type-ahead: who is found first, by brute force over all names."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.dataset.nearness import plain, plain_all
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.serve.type_ahead import TypeAhead

NAMES = ["sigur rós", "the beatles", "beatles revival", "björk", "be", "ros", "die ärzte", "a\nb", ""]
LISTENERS = np.array([50, 90, 3, 40, 2, 1, 10, 5, 4])


def type_ahead(names, listeners) -> TypeAhead:
    return TypeAhead(Vocabulary.of(pa.array(names, pa.string()), "artist"), np.asarray(listeners))


def found(typed: str, n: int = 3) -> list[str]:
    return [NAMES[column] for column in type_ahead(NAMES, LISTENERS).find(typed, n).columns]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("be", ["the beatles", "beatles revival", "be"]),
        ("beatles", ["the beatles", "beatles revival"]),
        ("THE B", ["the beatles"]),
        ("ros", ["ros", "sigur rós"]),
        ("Bjö", ["björk"]),
        ("bjo", ["björk"]),
        ("arzte", ["die ärzte"]),
        ("", ["the beatles", "sigur rós", "björk"]),
        ("  ", ["the beatles", "sigur rós", "björk"]),
        ("b\na", []),
        ("a b", ["a\nb"]),
        ("b\udcff", []),
    ],
)
def test_beginnings_then_words_each_by_popularity_and_the_name_itself_always(typed, wanted):
    assert found(typed) == wanted


def test_near_names_where_nothing_begins_so():
    answer = type_ahead(NAMES, LISTENERS).find("the beetles", 3)
    assert answer.is_near
    assert NAMES[answer.columns[0]] == "the beatles"


texts = st.text(st.sampled_from("ab é\n"), max_size=6)


@given(st.lists(st.tuples(texts, st.integers(0, 3)), min_size=1, max_size=20), texts)
def test_the_same_name_but_for_case_and_accents_is_the_most_popular_one(rows, name):
    names, listeners = [name for name, _ in rows], [count for _, count in rows]
    lines = [line.replace("\n", " ") for line in plain_all(pa.array(names, pa.string())).to_pylist()]
    query = plain(name.replace("\n", " "))
    same = [(-listeners[i], i) for i, line in enumerate(lines) if query and line == query]
    assert type_ahead(names, listeners).same(name) == (min(same)[1] if same else None)


@given(st.lists(st.tuples(texts, st.integers(0, 3)), min_size=1, max_size=20), texts, st.integers(1, 6))
def test_an_answer_is_that_of_looking_at_every_name(rows, typed, n):
    names, listeners = [name for name, _ in rows], [count for _, count in rows]
    query = plain(typed.replace("\n", " "))
    lines = [name.replace("\n", " ") for name in plain_all(pa.array(names, pa.string())).to_pylist()]

    beginnings = (query, f"the {query}")

    def group(line: str) -> int | None:
        return 0 if line.startswith(beginnings) else 1 if f" {query}" in line else None

    ranked = sorted(
        (group(line), -listeners[i], i) for i, line in enumerate(lines) if group(line) is not None
    )
    wanted = [i for *_, i in ranked[:n]]
    exact = [i for *_, i in ranked if lines[i] in beginnings] if query else []
    if exact and exact[0] not in wanted:
        wanted[-1] = exact[0]
    answer = type_ahead(names, listeners).find(typed, n)
    assert answer.is_near == (not ranked)
    if ranked:
        assert answer.columns == (
            wanted if query else sorted(range(len(names)), key=lambda i: -listeners[i])[:n]
        )

"""Names: ids in order of first appearance over many arrays; lower case as `str.lower` has it."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest

from lastfm_dask.ingestion.names import Names
from lastfm_dask.interactions.names import lower, lower_all


def strings(*names: str) -> pa.StringArray:
    return pa.array(names, pa.string())


@pytest.mark.parametrize(
    "merges",
    [
        [[["b", "a"], ["a", "c"]], [["c", "d", "b"]]],
        [[[], ["a"], []], [[]], [[], []], [["b", "a"], []]],
        [[[]], [["", "\0", "nan", "null"]], [["null", ""]]],
        [],
    ],
)
def test_ids_are_those_of_a_dictionary_filled_in_order(merges):
    names, known = Names(), {}
    for arrays in merges:
        found = names.merge([strings(*array) for array in arrays])
        wanted = [[known.setdefault(name, len(known)) for name in array] for array in arrays]
        assert [ids.tolist() for ids in found] == wanted
        assert all(ids.dtype == np.int32 for ids in found)
        assert len(names) == len(names.rows) == len(names.plays) == len(known)
    assert names.array.to_pylist() == list(known)
    assert {name: names.find(name) for name in known} == known
    assert names.find("nobody") is None


def test_counts_add_up_where_an_id_stands_twice():
    names = Names()
    names.merge([strings("a", "b")])
    names.count_rows(np.array([0, 1, 0]), np.array([1, 2, 4], np.int32))
    names.count_plays(np.array([0, 1, 0]), np.array([10, 20, 2**40]))
    names.merge([strings("c", "a")])
    names.count_rows(np.array([2, 0]), np.array([1, 1], np.int32))
    names.count_plays(np.array([2, 0]), np.array([5, 5]))
    assert names.rows.tolist() == [6, 2, 1]
    assert names.plays.tolist() == [10 + 2**40 + 5, 20, 5]


def test_other_names_can_be_shown_for_the_same_ids():
    names = Names()
    names.merge([strings("1"), strings("2")])
    names.replace(strings("one", "two"))
    assert (names.find("two"), names.find("2"), len(names)) == (1, None, 2)


def test_lower_case_is_that_of_python_for_every_character_that_has_one():
    every = map(chr, range(sys.maxunicode + 1))
    characters = [character for character in every if character.lower() != character]
    texts = [f"A{character}Σ" for character in characters]
    assert lower_all(strings(*texts)).to_pylist() == [text.lower() for text in texts]


@pytest.mark.parametrize("texts", [[], ["ABC"], ["abc", "die Ärzte", "İstanbul", "ΟΔΟΣ", "", "A\0B"]])
def test_stored_names_and_queries_are_lowered_alike(texts):
    lowered = lower_all(strings(*texts))
    assert lowered.type == pa.string()
    assert lowered.to_pylist() == [lower(text) for text in texts]

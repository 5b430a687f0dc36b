"""Statistics against pandas, to 1e-12."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lastfm_dask.dataset.statistics import Counts, describe, most_heard, statistics, top_artists

RNG = np.random.default_rng(5)
VALUES = {
    "one": np.array([7]),
    "two": np.array([1, 4]),
    "equal": np.full(9, 3),
    "counts": RNG.integers(1, 100, 1001),
    "large": RNG.integers(1, 2**31, 5000) * 2**20,
    "halves": RNG.integers(1, 10**6, 4001) / 2,
    "long tail": np.ceil(RNG.lognormal(3, 2, 20_000)),
    "far from zero": 10.0**9 + RNG.integers(0, 3, 10_000),
}


@pytest.mark.parametrize("name", VALUES)
def test_describe_is_that_of_pandas(name):
    found, wanted = describe(VALUES[name]), pd.Series(VALUES[name]).describe()
    assert list(found) == list(wanted.index)
    for key, value in wanted.items():
        if np.isnan(value):
            assert found[key] is None
        else:
            assert found[key] == pytest.approx(value, rel=1e-12, abs=1e-12), key


def test_describe_of_nothing_has_no_numbers():
    found = describe(np.zeros(0))
    assert list(found) == list(pd.Series([], dtype=float).describe().index)
    assert found.pop("count") == 0
    assert set(found.values()) == {None}


@pytest.mark.parametrize("n", [0, 1, 2, 7, 50, 51])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_most_heard_are_ranked_with_ties_by_first_appearance(n, most):
    listeners = np.random.default_rng(n).integers(1, most + 1, 50)
    wanted = pd.Series(listeners).sort_values(ascending=False, kind="stable").index[:n]
    assert most_heard(listeners, n).tolist() == list(wanted)


def test_most_heard_of_none():
    assert most_heard(np.zeros(0, np.int64), 3).tolist() == []


def test_top_artists_are_named():
    listeners, plays = np.array([2, 5, 5]), np.array([9, 8, 7])
    found = top_artists(listeners, plays, lambda columns: [f"artist {j}" for j in columns], 2)
    assert [tuple(artist.values()) for artist in found] == [("artist 1", 5, 8), ("artist 2", 5, 7)]


def test_statistics_are_plain_values_that_json_takes():
    counts = Counts(rows_read=5, rows_kept=4, rejects={"field_count": 1}, played_once=1, nnz=3, csr_bytes=36)
    rows, plays = np.array([3, 1]), np.array([2**40, 5, 1], np.int64)
    found = statistics(counts, rows, np.array([2.5, 1.0]), plays, [])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["users"], found["artists"], found["dense_bytes"]) == (2, 3, 6)
    assert found["plays_total"] == 2**40 + 6
    assert found["played_once_share"] == 1 / 4
    assert found["artists_per_user"] == describe(rows)

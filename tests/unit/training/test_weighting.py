"""From plays to confidence, against implicit's own weighting and plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from making import random_plays

from lastfm_dask.errors import BadInputError
from lastfm_dask.training.settings import TrainSettings
from lastfm_dask.training.weighting import ConfidenceRange, Totals, Weigher


def weigh(matrix, **settings):
    totals = Totals.of(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1])
    return Weigher(TrainSettings(**settings), lambda: totals).confidence(
        matrix.indptr, matrix.indices, matrix.data
    )


@pytest.fixture
def plays():
    return random_plays(80, 50, per_user=12, seed=3)


def test_raw_is_plays_times_alpha(plays):
    np.testing.assert_array_equal(weigh(plays, weighting="raw", alpha=1.0), plays.data)
    np.testing.assert_array_equal(weigh(plays, weighting="raw", alpha=0.5), plays.data / 2)


def test_log_is_the_logarithm(plays):
    wanted = 2 * np.log1p(plays.data.astype(np.float64))
    np.testing.assert_allclose(weigh(plays, weighting="log", alpha=2.0), wanted, rtol=1e-6)


@pytest.mark.parametrize(("k1", "b"), [(100, 0.8), (1.2, 0.0), (20, 1.0)])
def test_bm25_is_what_implicit_gives_for_listeners_as_documents(plays, k1, b):
    from implicit.nearest_neighbours import bm25_weight

    wanted = bm25_weight(plays, K1=k1, B=b).tocsr()
    wanted.sort_indices()
    np.testing.assert_array_equal(wanted.indices, plays.indices)
    found = weigh(plays, weighting="bm25", alpha=1.0, bm25_k1=k1, bm25_b=b)
    np.testing.assert_allclose(found, wanted.data, rtol=2e-5)


def test_results_are_new_float32_arrays(plays):
    before = plays.data.copy()
    for weighting in ("raw", "log", "bm25"):
        found = weigh(plays, weighting=weighting)
        assert found.dtype == np.float32
        assert not np.shares_memory(found, plays.data)
    np.testing.assert_array_equal(plays.data, before)


def test_totals_count_the_matrix(plays):
    totals = Totals.of(plays.indptr, plays.indices, plays.data, plays.shape[1])
    assert totals.n_users == plays.shape[0]
    np.testing.assert_array_equal(totals.listeners, plays.getnnz(axis=0))
    assert totals.mean_plays == pytest.approx(plays.sum(axis=1).mean(), rel=1e-12)


def test_raw_with_alpha_1_needs_nothing_written():
    def never():
        raise AssertionError

    assert Weigher(TrainSettings(weighting="raw", alpha=1.0), never).is_identity
    assert not Weigher(TrainSettings(weighting="raw", alpha=2.0), never).is_identity
    assert not Weigher(TrainSettings(weighting="log", alpha=1.0), never).is_identity


def test_the_range_is_seen_over_blocks_and_what_is_not_above_zero_refused():
    seen = ConfidenceRange()
    seen.see(np.array([], np.int32), np.array([], np.float32))
    seen.see(np.array([1, 2]), np.array([3, 0.5], np.float32))
    seen.see(np.array([4]), np.array([9], np.float32))
    assert (seen.lowest, seen.highest) == (0.5, 9)
    seen.refuse(str, "log")
    seen.see(np.array([7, 5, 7]), np.array([-1, 0, 2], np.float32))
    with pytest.raises(BadInputError, match=r"2 confidences of weighting bm25 .* 'name 5' .*'name 7'"):
        seen.refuse(lambda j: f"name {j}", "bm25")


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_confidence_that_is_no_number_is_refused(wrong):
    seen = ConfidenceRange()
    seen.see(np.array([0, 1]), np.array([1, wrong], np.float32))
    with pytest.raises(BadInputError, match="1 confidences"):
        seen.refuse(str, "raw")

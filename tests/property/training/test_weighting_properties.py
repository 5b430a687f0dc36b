"""Weights of blocks are the weights of the whole, wherever it is cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.training.settings import WEIGHTINGS, TrainSettings
from lastfm_dask.training.weighting import Totals, Weigher


@st.composite
def matrices(draw):
    n_users, n_artists = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    plays = draw(
        st.lists(st.integers(0, 2**31 - 1), min_size=n_users * n_artists, max_size=n_users * n_artists)
    )
    return csr_matrix(np.array(plays, np.float32).reshape(n_users, n_artists))


@given(matrices(), st.integers(1, 20))
def test_row_blocks_cover_all_rows_once_and_keep_to_their_size(matrix, block_nnz):
    blocks = list(row_blocks(matrix.indptr, block_nnz))
    assert [row for start, end in blocks for row in range(start, end)] == list(range(matrix.shape[0]))
    for start, end in blocks:
        assert end - start == 1 or matrix.indptr[end] - matrix.indptr[start] <= block_nnz


@given(matrices(), st.integers(1, 20), st.sampled_from(WEIGHTINGS), st.floats(0.01, 100))
def test_blocks_give_the_very_weights_of_the_whole(matrix, block_nnz, weighting, alpha):
    settings = TrainSettings(weighting=weighting, alpha=alpha)
    totals = Totals.of(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1])
    whole = Weigher(settings, lambda: totals).confidence(matrix.indptr, matrix.indices, matrix.data)
    weigher = Weigher(settings, lambda: totals)
    parts = []
    for start, end in row_blocks(matrix.indptr, block_nnz):
        first, last = matrix.indptr[start], matrix.indptr[end]
        indptr = matrix.indptr[start : end + 1]
        parts.append(weigher.confidence(indptr, matrix.indices[first:last], matrix.data[first:last]))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(matrices(), st.sampled_from(["raw", "log"]))
def test_more_plays_are_never_less_confidence(matrix, weighting):
    settings = TrainSettings(weighting=weighting)
    weigher = Weigher(settings, lambda: None)
    confidence = weigher.confidence(matrix.indptr, matrix.indices, matrix.data)
    order = np.argsort(matrix.data, kind="stable")
    assert (np.diff(confidence[order]) >= 0).all()
    assert (confidence > 0).all()

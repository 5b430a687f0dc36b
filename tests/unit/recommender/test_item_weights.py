"""Scores by item weights of lists that reach more than is gathered at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random as random_matrix

from lastfm_dask.recommender import item_weights
from lastfm_dask.recommender.item_weights import of_matrix


@pytest.mark.parametrize("at_once", [1, 7, 100, 1 << 20])
def test_a_long_list_has_the_very_scores_that_it_has_in_one_piece(monkeypatch, at_once):
    rng = np.random.default_rng(3)
    weights = of_matrix(random_matrix(60, 60, 0.2, format="csr", rng=rng, dtype=np.float32))
    items = np.flatnonzero(rng.random(60) < 0.7).astype(np.int32)
    plays = rng.integers(1, 500, len(items)).astype(np.float32)
    whole = weights.scores(items, plays)
    monkeypatch.setattr(item_weights, "VALUES_AT_ONCE", at_once)
    found = weights.scores(items, plays)
    assert [array.tobytes() for array in found] == [array.tobytes() for array in whole]

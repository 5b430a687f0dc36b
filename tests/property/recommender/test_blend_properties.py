"""Blended rankings against brute force over all artists: exact lists, equal scores whoever asks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import random as random_sparse

from lastfm_dask.recommender.blend import Blend, Lists
from lastfm_dask.recommender.item_weights import of_matrix
from lastfm_dask.recommender.ranking import Ranking


@st.composite
def worlds(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_users, n_artists = draw(st.integers(1, 40)), draw(st.integers(2, 60))
    weights = random_sparse(
        n_artists, n_artists, draw(st.sampled_from([0.0, 0.05, 0.6])), "csr", np.float32, rng
    )
    weights.data -= np.float32(0.3)
    plays = random_sparse(n_users, n_artists, draw(st.sampled_from([0.1, 0.5])), "csr", np.float32, rng)
    plays.data[:] = rng.integers(1, 50, plays.nnz)
    plays.sort_indices()
    vectors, factors = (rng.normal(size=(n, 3)).astype(np.float32) for n in (n_users, n_artists))
    parts = [
        (1.0, 0.0, 0.0),
        (0.7, 0.3, 0.0),
        (0.05, 2.0, 0.0),
        (0.0, 1.0, 0.0),
        (0.5, 0.3, 0.2),
        (0.0, 0.0, 1.0),
    ]
    shares = draw(st.sampled_from(parts))
    allowed = rng.random(n_artists) < draw(st.sampled_from([0.4, 1.0]))
    return weights, plays, vectors, factors, shares, allowed


@given(world=worlds(), n=st.integers(1, 15), include_known=st.booleans())
def test_the_best_by_a_blend_are_the_best_of_all(world, n, include_known):
    weights, plays, vectors, factors, (share_als, share_weights, share_popularity), allowed = world
    ranking = Ranking.of(factors, np.linalg.norm(factors, axis=1)).only(allowed)
    listeners = np.bincount(plays.indices, minlength=len(factors))
    blend = Blend(of_matrix(weights), share_als, share_weights, share_popularity, listeners)
    lists = Lists(plays.indptr, plays.indices, plays.data)
    found = blend.best(ranking, vectors, lists, n, include_known)
    second = np.log1p(plays.toarray().astype(np.float64)) @ weights.toarray().astype(np.float64)
    scores = share_als * (vectors.astype(np.float64) @ factors.T.astype(np.float64)) + share_weights * second
    scores += share_popularity * listeners
    for row in range(len(vectors)):
        known = plays.indices[plays.indptr[row] : plays.indptr[row + 1]]
        values = np.where(allowed, scores[row], -np.inf)
        if not include_known:
            values[known] = -np.inf
        if not share_als and not share_popularity:
            values[second[row] <= 0] = -np.inf
        best = -np.sort(-values)[:n]
        best = best[best > -np.inf]
        listed = found.items[row][found.items[row] >= 0]
        np.testing.assert_allclose(values[listed], best, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.scores[row][: len(listed)], values[listed], rtol=1e-5, atol=1e-6)
        dots = (np.multiply(factors[listed], vectors[row], dtype=np.float64)).sum(axis=-1)
        shown = blend.score(dots, known, plays.data[plays.indptr[row] : plays.indptr[row + 1]], listed)
        assert shown.tolist() == found.scores[row][: len(listed)].tolist()


@given(world=worlds())
def test_contributions_sum_to_the_score(world):
    weights, plays, *_ = world
    weights = of_matrix(weights)
    for row in range(plays.shape[0]):
        part = slice(plays.indptr[row], plays.indptr[row + 1])
        known, counts = plays.indices[part], plays.data[part]
        reached, scores = weights.scores(known, counts)
        contributions = weights.contributions(known, counts, reached)
        np.testing.assert_allclose(contributions.sum(axis=1), scores, rtol=1e-9, atol=1e-12)

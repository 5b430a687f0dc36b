"""A listener's least squares: exact, and a score is the sum of what their artists add."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.recommender.explain import explanation
from lastfm_dask.recommender.fold_in import NormalEquations
from lastfm_dask.recommender.results import User


@st.composite
def problems(draw):
    """Factors of some artists, a listener's columns with confidences, and a regularization."""
    n_artists, n_factors = draw(st.integers(2, 30)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    factors = rng.normal(0, draw(st.floats(0.01, 2)), (n_artists, n_factors)).astype(np.float32)
    items = rng.choice(n_artists, draw(st.integers(1, n_artists)), replace=False)
    confidence = rng.uniform(0.1, draw(st.floats(0.2, 1000)), len(items))
    return factors, items, confidence, draw(st.floats(0.01, 100))


def equations(factors, items, confidence, regularization):
    wide = factors.astype(np.float64)
    return NormalEquations.of(wide.T @ wide, factors[items], confidence, regularization)


@given(problems())
def test_the_vector_minimizes_the_weighted_squares(problem):
    """The gradient of sum c (p - x.y)^2 + lambda |x|^2 over all artists vanishes at x."""
    factors, items, confidence, regularization = problem
    vector = equations(*problem).vector()
    weights, preference = np.ones(len(factors)), np.zeros(len(factors))
    weights[items], preference[items] = confidence, 1
    wide = factors.astype(np.float64)
    gradient = wide.T @ (weights * (wide @ vector - preference)) + regularization * vector
    scale = np.abs(wide.T @ (weights * preference)).max() + 1e-12
    assert np.abs(gradient).max() <= 1e-8 * max(scale, 1.0)


@given(problems())
def test_contributions_add_up_to_the_score(problem):
    factors, items, confidence, _ = problem
    system = equations(*problem)
    vector = system.vector()
    names = [f"artist {j}" for j in items]
    for target in factors[:3]:
        score = float(target.astype(np.float64) @ vector)
        found = explanation(User(), "a", score, names, system.contributions(target))
        total = sum(one.contribution for one in found.contributions)
        assert abs(total + found.remainder - score) <= 1e-9 * max(1, abs(score))
        assert abs(found.remainder) <= 1e-7 * max(1, abs(score), np.abs(confidence).max() / 100)
        assert sorted(one.artist for one in found.contributions) == sorted(names)
        values = [one.contribution for one in found.contributions]
        assert values == sorted(values, reverse=True)

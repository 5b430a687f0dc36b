"""The pruned search finds what looking at everything finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.recommender import ranking
from lastfm_dask.recommender.ranking import Ranking, SeenItems, exact_scores, most_similar


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks so small that every search goes through several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "FIRST_BLOCK", 4)
        patch.setattr(ranking, "BLOCK_ARTISTS", 6)
        patch.setattr(ranking, "SPARE", 2)
        yield


@st.composite
def worlds(draw):
    """Factors with lengths over several orders, listeners, what they have, which artists are allowed, and n."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_artists, n_listeners = draw(st.integers(1, 120)), draw(st.integers(1, 12))
    n_factors = draw(st.integers(1, 8))
    factors = rng.normal(size=(n_artists, n_factors)) * rng.lognormal(
        0, draw(st.floats(0, 3)), (n_artists, 1)
    )
    if draw(st.booleans()):
        # Equal vectors: equal scores, ordered by column.
        factors = factors[rng.integers(0, n_artists, n_artists)]
    vectors = rng.normal(size=(n_listeners, n_factors))
    counts = rng.integers(0, n_artists + 1, n_listeners)
    rows = [np.sort(rng.choice(n_artists, count, replace=False)) for count in counts]
    seen = SeenItems(np.concatenate([[0], np.cumsum(counts)]), np.concatenate(rows).astype(np.int32))
    allowed = rng.random(n_artists) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return factors.astype(np.float32), vectors.astype(np.float32), seen, allowed, draw(st.integers(1, 15))


def everything(factors, vector, left_out, allowed, n):
    scores = exact_scores(vector, factors)
    free = allowed.copy()
    free[left_out] = False
    order = [j for j in np.lexsort((np.arange(len(scores)), -scores)) if free[j]]
    return order[:n], scores


@given(worlds())
def test_lists_are_the_best_of_everything(world):
    factors, vectors, seen, allowed, n = world
    norms = np.linalg.norm(factors.astype(np.float64), axis=1).astype(np.float32)
    found = Ranking.of(factors, norms).only(allowed).best(vectors, n, seen)
    assert found.items.shape[0] == len(vectors)
    for row, vector in enumerate(vectors):
        left_out = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        wanted, scores = everything(factors, vector, left_out, allowed, n)
        items = found.items[row][found.items[row] >= 0]
        assert len(items) == len(wanted)
        assert (found.items[row][len(items) :] == -1).all()
        assert np.isnan(found.scores[row][len(items) :]).all()
        np.testing.assert_array_equal(found.scores[row][: len(items)], scores[items])
        assert not set(items.tolist()) & set(left_out.tolist())
        assert len(set(items.tolist())) == len(items)
        # Columns may differ only where float32 can't tell scores apart.
        np.testing.assert_allclose(scores[items], scores[wanted], rtol=1e-5, atol=1e-6)


@given(worlds())
def test_a_list_does_not_depend_on_who_else_is_asked_for(world):
    factors, vectors, seen, allowed, n = world
    norms = np.linalg.norm(factors.astype(np.float64), axis=1).astype(np.float32)
    ranked = Ranking.of(factors, norms).only(allowed)
    together = ranked.best(vectors, n, seen)
    for row in range(len(vectors)):
        start, end = seen.indptr[row], seen.indptr[row + 1]
        alone = ranked.best(
            vectors[row : row + 1], n, SeenItems(np.array([0, end - start]), seen.indices[start:end])
        )
        np.testing.assert_allclose(
            np.nan_to_num(together.scores[row]), np.nan_to_num(alone.scores[0]), rtol=1e-5, atol=1e-6
        )


@given(worlds())
def test_similar_rows_are_the_nearest_by_angle(world):
    factors, _, _, _, n = world
    factors[0] += 1
    norms = np.linalg.norm(factors.astype(np.float64), axis=1).astype(np.float32)
    rows, cosines = most_similar(factors, norms, 0, n)
    wide = factors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = np.nan_to_num(wide @ wide[0] / lengths / lengths[0])
    assert 0 not in rows
    assert len(rows) == min(n, len(factors) - 1)
    best = np.sort(np.delete(wanted, 0))[::-1][: len(rows)]
    np.testing.assert_allclose(cosines, best, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cosines, wanted[rows], rtol=1e-4, atol=1e-5)

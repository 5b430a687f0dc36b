"""Explanations: they add up to the score that is shown, and what remains is what the solver left over."""

from __future__ import annotations

import numpy as np
import pytest
from models import N_USERS, small_model

from lastfm_dask.recommender.fold_in import NormalEquations
from lastfm_dask.training.settings import PRESETS, TrainSettings

SETTINGS = {
    "recommended": PRESETS["recommended"].changed(factors=8, regularization=2.0, model="als"),
    "notebook": PRESETS["notebook"].changed(factors=8),
    "bm25": TrainSettings(factors=8, weighting="bm25", regularization=1.0),
}


@pytest.fixture(scope="module", params=SETTINGS)
def model(request, tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("m"), SETTINGS[request.param])


def total(explanation):
    return sum(one.contribution for one in explanation.contributions) + explanation.remainder


@pytest.mark.parametrize("user", ["user00000", "user00021", f"user{N_USERS - 1:05d}"])
def test_a_known_listeners_scores_are_explained(model, user):
    listed = model.recommend(user, n=5).items
    row = model.users.index(user)
    indptr, indices, _ = model.matrix
    own = model.artists.names(indices[indptr[row] : indptr[row + 1]])
    for item in listed:
        found = model.explain(item.artist, user)
        assert found.score == item.score
        assert total(found) == pytest.approx(item.score, abs=1e-9)
        assert sorted(one.artist for one in found.contributions) == sorted(own)


def test_the_remainder_is_what_the_exact_solution_would_change(model):
    """Nothing else hides in it: with the exact vector in place of the trained one it is gone."""
    user = "user00009"
    row = model.users.index(user)
    indptr, indices, data = model.matrix
    items, plays = indices[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]]
    confidence = model._weigher.confidence(np.array([0, len(items)]), items, plays)
    factors = np.asarray(model.item_factors, np.float64)
    exact = NormalEquations.of(
        factors.T @ factors, factors[items], confidence, model.settings.regularization
    ).vector()
    for artist in (0, 5, 17):
        found = model.explain(model.artists.name(artist), user)
        change = float(factors[artist] @ (model.user_factors[row].astype(np.float64) - exact))
        assert found.remainder == pytest.approx(change, abs=1e-7)


def test_a_new_listeners_scores_are_explained_without_remainder(model):
    likes = {"sigur rós": 30, "björk": 12, "artist 20": 5, "unheard of": 3}
    for item in model.recommend(likes=likes, n=5).items:
        found = model.explain(item.artist, likes=likes)
        assert found.score == item.score
        assert abs(found.remainder) < 1e-6
        assert total(found) == pytest.approx(item.score, abs=1e-9)
        assert {one.artist for one in found.contributions} == {"sigur rós", "björk", "artist 20"}
        assert [name["name"] for name in found.to_dict()["unknown"]] == ["unheard of"]


def test_without_regularization_unused_factors_are_no_error():
    """A factor that is zero for all artists leaves the system singular: the shortest solution is taken."""
    rows = np.array([[1.0, 0.0], [2.0, 0.0]])
    system = NormalEquations.of(rows.T @ rows, rows, np.array([2.0, 3.0]), 0.0)
    vector = system.vector()
    # (5 + 1*1 + 2*4) x = 2*1 + 3*2 in the first factor alone.
    np.testing.assert_allclose(vector, [8 / 14, 0], atol=1e-12)
    assert system.contributions(rows[1]).sum() == pytest.approx(rows[1] @ vector)

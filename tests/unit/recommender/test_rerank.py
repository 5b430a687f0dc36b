"""Variety and novelty: the order against brute force, the scores untouched, off by default."""

from __future__ import annotations

import numpy as np
import pytest
from models import N_ARTISTS, small_model

from lastfm_dask.errors import BadInputError, UnknownNameError
from lastfm_dask.recommender.rerank import Rerank, self_information

RNG = np.random.default_rng(3)
SCORES = -np.sort(-RNG.random(30))
VECTORS = RNG.normal(size=(30, 4))
BITS = RNG.random(30) * 9


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("rerank"))


def brute_force(diverse, novelty, n):
    """Choose one artist after the other by the definition of maximal marginal relevance."""
    relevance = (SCORES - SCORES.min()) / (SCORES.max() - SCORES.min())
    relevance = (1 - novelty) * relevance + novelty * BITS / BITS.max()
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    chosen = []
    while len(chosen) < n:
        rest = [i for i in range(len(SCORES)) if i not in chosen]
        nearest = {i: max((float(unit[i] @ unit[j]) for j in chosen), default=0.0) for i in rest}
        chosen.append(max(rest, key=lambda i: (1 - diverse) * relevance[i] - diverse * nearest[i]))
    return chosen


@pytest.mark.parametrize(("diverse", "novelty"), [(0.3, 0.0), (1.0, 0.0), (0.0, 0.4), (0.6, 0.2)])
def test_the_order_is_that_of_the_definition(diverse, novelty):
    found = Rerank(diverse, novelty).order(SCORES, VECTORS, BITS, 12)
    assert found.tolist() == brute_force(diverse, novelty, 12)


def test_nothing_asked_for_changes_nothing():
    assert Rerank().order(SCORES, VECTORS, BITS, 30).tolist() == list(range(30))
    assert not Rerank().is_on


def test_self_information_is_in_bits():
    assert self_information(np.array([1, 8, 64, 0]), 64).tolist() == [6, 3, 0, 6]


@pytest.mark.parametrize("shares", [{"diverse": 1.1}, {"novelty": -0.1}, {"diverse": float("nan")}])
def test_shares_out_of_range_are_refused(shares):
    with pytest.raises(BadInputError, match="allowed is 0 to 1"):
        Rerank(**shares)


def test_scores_stay_and_the_answer_says_what_was_done(model):
    plain = {item.artist: item.score for item in model.recommend("user00001", n=N_ARTISTS).items}
    found = model.recommend("user00001", n=6, diverse=0.5, novelty=0.3)
    assert len(found.items) == 6
    assert all(plain[item.artist] == item.score for item in found.items)
    assert found.to_dict()["diverse"] == 0.5
    assert [item.novelty for item in found.items] == pytest.approx(
        [np.log2(model.n_users / item.listeners) for item in found.items]
    )
    assert "novelty" not in model.recommend("user00001").to_dict()["items"][0]
    unheard = model.recommend("user00001", n=6, novelty=1.0).items
    assert [i.listeners for i in unheard] == sorted(i.listeners for i in unheard)


def test_all_users_get_the_same_lists_as_each(model):
    options = {"n": 5, "diverse": 0.4, "novelty": 0.1, "only": model.artists.names(range(40))}
    (batch,) = model.recommend_all(**options)
    for row in (0, 7, 39):
        one = model.recommend(model.users.name(row), **options)
        assert batch.items[row][: len(one.items)].tolist() == [item.index for item in one.items]


def test_only_lists_these_artists(model):
    names = ["radiohead", "BJÖRK", "nan", "röyksopp"]
    found = model.recommend(likes=["sigur rós"], only=names, exclude=["nan"])
    assert {item.artist for item in found.items} == {"radiohead", "björk", "röyksopp"}
    found = model.recommend(likes=["nobody knows this"], only=names)
    assert (found.fallback, len(found.items)) == ("popularity", 4)
    with pytest.raises(UnknownNameError):
        model.recommend("user00001", only=["no such artist"])
    with pytest.raises(TypeError, match="allowed are"):
        model.recommend("user00001", min_listener=3)

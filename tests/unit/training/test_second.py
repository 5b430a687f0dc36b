"""A model with item weights beside its factors: chosen on a sample, stored as arrays, answered and explained exactly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from making import random_plays
from models import N_ARTISTS, N_USERS, named_dataset
from scipy.sparse import csr_matrix

from lastfm_dask import train
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.memory.budget import Budget
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.recommender.answers import Recommender
from lastfm_dask.training import check, sampled, second
from lastfm_dask.training.plan import TrainingShape, plan_training
from lastfm_dask.training.settings import TrainSettings

SETTINGS = TrainSettings(factors=8, regularization=2.0, iterations=3)
USER = "user00003"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same data as ALS, as a blend, and by item weights alone."""
    folder = tmp_path_factory.mktemp("second")
    dataset = named_dataset(folder / "lastfm.dataset")
    found = {}
    for kind in ("als", "blend", "neighbours"):
        train(dataset, folder / f"{kind}.model", replace(SETTINGS, model=kind))
        found[kind] = Recommender(folder / f"{kind}.model")
    return found


def all_scores(model, items, plays, vector):
    """Return the blended scores of all artists by dense arithmetic."""
    said = model.manifest.content["blend"]
    indptr, indices, data = (np.load(model.path / name) for name in layout.ITEM_WEIGHTS)
    weights = np.zeros((N_ARTISTS, N_ARTISTS))
    for u in range(N_ARTISTS):
        np.add.at(weights[u], indices[indptr[u] : indptr[u + 1]], data[indptr[u] : indptr[u + 1]])
    second_part = np.log1p(np.asarray(plays, np.float64)) @ weights[items]
    first = np.asarray(model.item_factors, np.float64) @ vector
    return said["share_als"] * first + said["share_weights"] * second_part


def test_als_has_no_item_weights(models):
    assert models["als"].blend is None
    assert not (models["als"].path / layout.ITEM_WEIGHTS[0]).exists()


@pytest.mark.parametrize("kind", ["blend", "neighbours"])
def test_answers_are_those_of_dense_arithmetic(models, kind):
    model = models[kind]
    verify_directory(model.path, layout.MODEL)
    indptr, indices, data = model.matrix
    row = model.users.index(USER)
    items, plays = indices[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]]
    expected = all_scores(model, items, plays, np.asarray(model.user_factors[row], np.float64))
    names = model.artists.names(range(N_ARTISTS))
    scores = model.score(names, USER).scores
    np.testing.assert_allclose([one.score for one in scores], expected, rtol=1e-5, atol=1e-7)
    assert all(abs(one.als + one.item_weights - one.score) < 1e-12 for one in scores)
    listed = model.recommend(USER, n=7).items
    allowed = np.delete(np.arange(N_ARTISTS), items)
    best = -np.sort(-expected[allowed])[: len(listed)]
    np.testing.assert_allclose([one.score for one in listed], best, rtol=1e-5)
    by_name = {one.artist: one.score for one in scores}
    assert [one.score for one in listed] == [by_name[one.artist] for one in listed]


@pytest.mark.parametrize("kind", ["blend", "neighbours"])
def test_all_users_and_new_ones_get_the_same_numbers(models, kind):
    model = models[kind]
    (batch,) = model.recommend_all(n=5)
    for row in range(0, N_USERS, 9):
        one = model.recommend(model.users.name(row), n=5)
        assert batch.items[row][: len(one.items)].tolist() == [item.index for item in one.items]
        assert batch.scores[row][: len(one.items)].tolist() == [item.score for item in one.items]
    likes = {"sigur rós": 30, "radiohead": 5}
    for item in model.recommend(likes=likes, n=3).items:
        found = model.explain(item.artist, likes=likes)
        assert found.score == item.score
        total = sum(one.contribution for one in found.contributions) + found.remainder
        assert total == pytest.approx(item.score, abs=1e-12)
        assert found.remainder == pytest.approx(0, abs=1e-9)


def test_a_blend_of_item_weights_alone_leaves_the_factors_out(models):
    assert models["neighbours"].blend.share_als == 0
    assert np.array_equal(models["neighbours"].item_factors, models["als"].item_factors)


def test_the_choice_depends_on_no_threads_and_brings_the_best(tmp_path):
    plays = random_plays(n_users=300, n_artists=120, per_user=15, n_groups=5)
    settings = TrainSettings(factors=8, model="auto")
    found = [second.choose(plays, settings, tmp_path / "x", threads=threads) for threads in (1, 3)]
    assert found[0] == found[1]
    chosen, tried = found[0]
    figure = tried["als"] if chosen is None else tried[second._name(chosen.tried)]
    assert figure >= 0.97 * max(tried.values())
    assert figure >= 0.99 * tried["popularity"]
    blend, _ = second.choose(plays, replace(settings, model="blend"), tmp_path / "x", threads=1)
    assert 0 < blend.share < 1
    assert second.choose(plays, replace(settings, model="als"), tmp_path / "x", threads=1) == (None, {})
    assert not list(tmp_path.iterdir())


def test_where_tastes_do_not_differ_popularity_ranks():
    best = ("ease", 75.0, 0.5, 0.0)
    rng = np.random.default_rng(0)
    popularity = rng.random(400)
    figures = {(*best[:3], share): popularity - 0.01 for share in (0.0, *second.POPULARITY_SHARES[:-1])}
    assert second._with_popularity(best, figures | {second.POPULARITY: popularity}) == second.POPULARITY
    # A popularity that is clearly worse counts nothing.
    figures = {key: popularity + 0.1 * (key[3] == 0) for key in figures}
    assert second._with_popularity(best, figures | {second.POPULARITY: popularity}) == best


def test_a_parabola_evens_out_the_noise_of_one_share():
    curve = {0.0: 0.20, 0.25: 0.23, 0.5: 0.245, 0.75: 0.24, 1.0: 0.225}
    figures = {
        (("none", None) if not s else ("ease", 75.0)) + (s, 0.0): np.full(9, v) for s, v in curve.items()
    }
    figures["ease", 75.0, 0.25, 0.0] = np.full(9, 0.246)
    assert second._best(figures, "auto") == ("ease", 75.0, 0.5, 0.0)


def test_lambda_is_the_best_and_near_the_usual_one_where_noise_is_larger():
    def figure(strength, share):
        return 0.2 + share * (0.08 - 0.004 * np.log(strength / 220) ** 2) - 0.06 * share**2

    strengths = [75.0, 200.0, 600.0, 25.0]
    figures = {
        ("ease", one, s, 0.0): np.full(9, figure(one, s)) for one in strengths for s in (*second.SHARES, 1.0)
    }
    figures[second.ALS] = np.full(9, 0.2)
    assert second._best(figures, "auto") == ("ease", 200.0, 0.75, 0.0)
    # The quadratic holds what it is made of.
    evened = second._evened(figures)
    assert all(figures[one].mean() == pytest.approx(value) for one, value in evened.items())
    rng = np.random.default_rng(0)
    noisy = {one: value + 0.03 * rng.standard_normal(9) for one, value in figures.items()}
    means = {one: value - value.mean() + figures[one].mean() for one, value in noisy.items()}
    assert second._best(means, "auto") == ("ease", 75.0, 0.75, 0.0)


def test_the_best_columns_come_first_and_ties_go_to_the_smaller():
    scores = np.random.default_rng(3).integers(0, 9, (40, 700)).astype(np.float32)
    expected = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 10):
        assert np.array_equal(check._best(scores, k), expected[:, :k])
        assert np.array_equal(
            check._best(scores[:, :k], k), np.argsort(-scores[:, :k], axis=1, kind="stable")
        )


def test_ndcg_is_that_of_each_list():
    sample = check.Sample.of(random_plays(n_users=60, n_artists=50, per_user=12))
    lists = sample.by_popularity()
    for row, found, value in zip(sample.ranked, lists, sample.ndcg_by_user(lists), strict=True):
        wanted = set(sample.held_out[row].indices.tolist())
        discounts = 1 / np.log2(np.arange(2, 12))
        gains = sum(d for one, d in zip(found.tolist(), discounts, strict=True) if one in wanted)
        assert value == pytest.approx(gains / discounts[: len(wanted)].sum())


@pytest.mark.parametrize("n_users", [50, 90])
def test_the_sample_scores_ease_as_the_dense_inverse_does(tmp_path, n_users):
    plays = random_plays(n_users=n_users, n_artists=70, per_user=8, seed=2)
    weights = np.log1p(plays.toarray().astype(np.float64))
    weights /= np.sqrt(np.mean(np.square(weights[weights > 0])))
    inverse = np.linalg.inv(weights.T @ weights + 9 * np.eye(70))
    dense = np.eye(70) - inverse / np.diag(inverse)
    rows = np.array([3, 17, 40])
    unseen = weights[rows] == 0
    with sampled.by_ease(plays, 9.0, tmp_path / "ease") as scores:
        np.testing.assert_allclose(scores(rows)[unseen], (weights[rows] @ dense)[unseen], atol=1e-4)
    assert not list(tmp_path.iterdir())


def test_where_memory_is_short_what_is_left_open_is_left_out():
    shape = TrainingShape(359_347, 292_385, 17_500_000, 128, model="auto")
    assert plan_training(shape, Budget(1024 * MIB, 60 * MIB, 2)).settings.weights
    short = plan_training(shape, Budget(118 * MIB, 60 * MIB, 2))
    assert not short.settings.weights
    assert "weights" not in short.stages


def test_samples_of_different_sizes_try_the_same_lambdas(tmp_path, monkeypatch):
    lengths = np.random.default_rng(1).integers(3, 40, 150)
    plays = csr_matrix(
        (np.repeat(lengths, 60) > np.tile(np.arange(60), 150)).reshape(150, 60).astype(np.float32)
    )
    monkeypatch.setattr(second, "SIZE", replace(second.SIZE, values=900, users=100, ranked=20))
    monkeypatch.setattr(second, "MAX_SIDE", 100)
    assert len({sample.train.shape[0] for sample in second._samples(plays)}) > 1
    _, tried = second.choose(plays, TrainSettings(factors=4, model="blend"), tmp_path / "choice", threads=1)
    shares = Counter(name.split(",")[0] for name in tried if name.startswith("ease"))
    assert set(shares.values()) == {4}
    assert 3 <= len(shares) <= len(second.REGULARIZATIONS)


def test_evened_figures_alone_add_nothing():
    """A quadratic may overshoot at its end; what was measured must gain too."""
    rng = np.random.default_rng(0)
    lists = rng.random(400)
    shapes = {25.0: 1.004, 75.0: 0.97, 200.0: 0.99}
    figures = {second.ALS: lists, second.POPULARITY: 0.5 * lists}
    for strength, gain in shapes.items():
        for share in (0.25, 0.5, 0.75, 1.0):
            figures["ease", strength, share, 0.0] = lists * (1 + (gain - 1) * 4 * share * (1.25 - share))
    assert second._best(figures, "auto") == second.ALS
    assert second._best(figures, "blend")[0] == "ease"

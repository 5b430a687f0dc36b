"""The strength that training settles from the data: its rule, and that it holds on data of any scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from making import random_plays
from scipy.sparse import csr_matrix

from lastfm_dask.training.check import Sample, settle_and_check
from lastfm_dask.training.settings import PRESETS
from lastfm_dask.training.strength import MEAN_CONFIDENCE, NOISE_SHARE, Lengths, settle

RECOMMENDED = PRESETS["recommended"]


@pytest.fixture(scope="module")
def plays():
    return random_plays(200, 90, 12, seed=3)


def with_values(matrix, values):
    return csr_matrix((np.asarray(values, np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def clusters(n_users, n_artists, per_user, seed=0):
    """Return plays of 1 by users of ten tastes, each of whom hears a tenth of the artists but for a few."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n_users, n_artists), np.float32)
    for user in range(n_users):
        own = np.arange(user % 10, n_artists, 10)
        dense[user, rng.choice(own, per_user, replace=False)] = 1
        dense[user, rng.integers(n_artists)] = 1
    return csr_matrix(dense)


def test_the_rule_by_brute_force(plays):
    dense = plays.toarray()
    counts = dense > 0
    users, artists = counts.sum(1), counts.sum(0)
    stored = [(u, a) for u, a in zip(*np.nonzero(counts), strict=True)]
    own = np.mean([users[u] for u, _ in stored])
    theirs = np.mean([artists[a] for _, a in stored])
    weight = np.log1p(dense[counts]).mean()
    found = settle(plays, RECOMMENDED)
    assert found.alpha == pytest.approx(MEAN_CONFIDENCE / weight, rel=1e-3)
    expected = NOISE_SHARE * MEAN_CONFIDENCE * (np.sqrt(own) + np.sqrt(theirs))
    assert found.regularization == pytest.approx(expected, rel=1e-3)


def test_noise_is_the_largest_singular_value_of_a_random_matrix():
    rng = np.random.default_rng(0)
    cells = csr_matrix((rng.random((600, 400)) < 0.1).astype(np.float32))
    signs = with_values(cells, rng.choice([-1, 1], cells.nnz))
    largest = np.linalg.svd(signs.toarray(), compute_uv=False)[0]
    assert Lengths.of(cells).noise == pytest.approx(largest, rel=0.05)


@pytest.mark.parametrize("weighting", ["raw", "bm25"])
def test_each_weighting_gets_the_same_mean_confidence(plays, weighting):
    from lastfm_dask.training.weighting import Totals, Weigher

    found = settle(plays, replace(RECOMMENDED, weighting=weighting))
    totals = Totals.of(plays.indptr, plays.indices, plays.data, plays.shape[1])
    confidence = Weigher(found, lambda: totals).confidence(plays.indptr, plays.indices, plays.data)
    assert confidence.mean() == pytest.approx(MEAN_CONFIDENCE, rel=1e-3)


def test_plays_of_another_scale_give_the_same_strength(plays):
    once, often = (settle(with_values(plays, np.full(plays.nnz, n)), RECOMMENDED) for n in (1, 1000))
    assert once.regularization == often.regularization
    assert once.alpha * np.log1p(1) == pytest.approx(often.alpha * np.log1p(1000), rel=1e-3)


def test_a_given_alpha_is_kept_and_regularization_follows(plays):
    whole = settle(plays, RECOMMENDED)
    found = settle(plays, RECOMMENDED.changed(alpha=2 * whole.alpha))
    assert found.alpha == 2 * whole.alpha
    assert found.regularization == pytest.approx(2 * whole.regularization, rel=1e-3)
    assert settle(plays, PRESETS["notebook"]) == PRESETS["notebook"]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_sample_says_how_training_stands_beside_popularity(tmp_path, threads):
    settled, check = settle_and_check(
        clusters(300, 200, 10), replace(RECOMMENDED, factors=16), tmp_path / "check", threads=threads
    )
    assert check.ndcg > 2 * check.popularity_ndcg
    assert (check.raised, check.share, check.n_users) == (1, 1, check.n_users)
    assert settled == settle(clusters(300, 200, 10), replace(RECOMMENDED, factors=16))
    assert not (tmp_path / "check").exists()


def test_a_figure_of_the_sample_is_the_evaluators(tmp_path):
    from lastfm_dask.evaluation.metrics import measure

    sample = Sample.of(clusters(300, 200, 10))
    lists = sample.by_popularity()
    found = measure(lists, sample.held_out[sample.ranked], (10,), n_resamples=0)["ndcg@10"].value
    assert sample.ndcg(lists) == pytest.approx(found, rel=1e-12)


def test_regularization_is_raised_where_popularity_is_better(tmp_path):
    """Nothing but popularity is in the data: what is learnt beyond it is noise."""
    rng = np.random.default_rng(1)
    chance = 1 / np.arange(1, 151)
    dense = np.zeros((400, 150), np.float32)
    for row in dense:
        row[rng.choice(150, 6, replace=False, p=chance / chance.sum())] = 1
    settings = replace(RECOMMENDED, factors=32)
    found, check = settle_and_check(csr_matrix(dense), settings, tmp_path / "check", threads=1)
    assert check.raised > 1
    assert found.regularization > settle(csr_matrix(dense), settings).regularization


def test_too_few_users_say_nothing(tmp_path):
    _, check = settle_and_check(random_plays(5, 20, 4, seed=0), RECOMMENDED, tmp_path / "c", threads=1)
    assert check is None

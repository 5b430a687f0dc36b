"""ALS as it is evaluated: plain implicit's factors and lists; new listeners' vectors as their equation has them."""

from __future__ import annotations

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from making import random_plays
from threadpoolctl import threadpool_limits

from lastfm_dask.evaluation.candidates import fit_als
from lastfm_dask.evaluation.splits import SplitSettings, make_split
from lastfm_dask.training.fit_run import FitRun
from lastfm_dask.training.settings import TrainSettings

PLAYS = random_plays(n_users=90, n_artists=60, per_user=8, seed=2)
SETTINGS = TrainSettings(factors=8, regularization=3.0, alpha=2.0, iterations=4)


@pytest.fixture
def fitted(tmp_path):
    def fit(method, settings=SETTINGS):
        (tmp_path / "split").mkdir()
        (tmp_path / "model").mkdir()
        split = make_split(PLAYS, SplitSettings(method), tmp_path / "split")
        return split, fit_als(split, settings, FitRun(tmp_path / "model", threads=1, range_nnz=100))

    return fit


def test_lists_are_those_of_plain_implicit(fitted):
    split, ranker = fitted("random")
    confidence = split.train.copy()
    confidence.data = 2 * np.log1p(confidence.data)
    with threadpool_limits(1, "blas"):
        plain = AlternatingLeastSquares(8, regularization=3.0, iterations=4, random_state=42, num_threads=1)
        plain.fit(confidence, show_progress=False)
        users = np.arange(PLAYS.shape[0])
        theirs, _ = plain.recommend(users, confidence, N=10)
    np.testing.assert_allclose(ranker.ranking.factors, plain.item_factors, rtol=1e-4, atol=1e-6)
    assert np.array_equal(ranker.rank(users, split.train[users], 10), theirs)


@pytest.mark.parametrize("weighting", ["log", "bm25"])
def test_new_listeners_have_the_exact_solution_of_their_half(fitted, weighting):
    settings = SETTINGS.changed(weighting=weighting, bm25_k1=5.0, bm25_b=0.0)
    split, ranker = fitted("new-users", settings)
    users = np.flatnonzero(np.diff(split.history.indptr))
    found = ranker.fold_in.vectors(split.history[users])
    factors = np.asarray(ranker.ranking.factors, np.float64)
    listeners = np.bincount(split.train.indices, minlength=PLAYS.shape[1])
    for vector, user in zip(found, users, strict=True):
        plays = split.history[user].toarray().ravel().astype(np.float64)
        if weighting == "log":
            confidence = 2 * np.log1p(plays)
        else:
            idf = np.log(PLAYS.shape[0]) - np.log1p(listeners)
            confidence = 2 * idf * plays * (5 + 1) / (5 + plays)
        # Hu, Koren, Volinsky 2008, eq. 4: what is not played has confidence 1 and preference 0.
        weights = np.where(plays > 0, confidence, 1.0)
        left = factors.T @ (weights[:, None] * factors) + 3.0 * np.eye(8)
        expected = np.linalg.solve(left, factors.T @ np.where(plays > 0, weights, 0))
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6)


def test_no_list_holds_what_the_model_was_told(fitted):
    split, ranker = fitted("new-users")
    users = np.flatnonzero(np.diff(split.held_out.indptr))
    items = ranker.rank(users, split.history[users], 70)
    for row, user in zip(items, users, strict=True):
        listed = row[row >= 0].tolist()
        assert sorted(listed + split.history[user].indices.tolist()) == list(range(PLAYS.shape[1]))

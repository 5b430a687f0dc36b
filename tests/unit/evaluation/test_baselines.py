"""Popularity and item neighbours against dense arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from making import random_plays
from scipy.sparse import csr_matrix

from lastfm_dask.dataset import arrays
from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation.baselines import WeightsRanker, fit_popularity
from lastfm_dask.recommender.item_weights import of_matrix
from lastfm_dask.training import ease, neighbours
from lastfm_dask.training.ease import fit_ease
from lastfm_dask.training.fit_run import FitRun
from lastfm_dask.training.neighbours import fit_neighbours

PLAYS = random_plays(n_users=70, n_artists=45, per_user=6, seed=5)
USERS = np.arange(PLAYS.shape[0])


def cosines(n_neighbours):
    """Return the cosine of each two artists' ln(1 + plays), but for the nearest `n_neighbours` zero, dense."""
    columns = np.log1p(PLAYS.toarray().astype(np.float64))
    columns /= np.linalg.norm(columns, axis=0)
    similar = columns.T @ columns
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[n_neighbours:]] = 0
    return similar


def test_popularity_is_by_listeners_and_leaves_out_what_is_known():
    listeners = np.bincount(PLAYS.indices, minlength=PLAYS.shape[1])
    order = np.argsort(-listeners, kind="stable").tolist()
    items = fit_popularity(PLAYS).rank(USERS, PLAYS, 10)
    for row, found in enumerate(items.tolist()):
        known = set(PLAYS[row].indices.tolist())
        assert found == [artist for artist in order if artist not in known][:10]


def test_a_list_ends_where_there_are_no_more_artists():
    items = fit_popularity(PLAYS).rank(USERS, PLAYS, 60)
    assert np.array_equal((items >= 0).sum(axis=1), PLAYS.shape[1] - np.diff(PLAYS.indptr))


@pytest.mark.parametrize("n_neighbours", [3, 200])
def test_similarities_are_the_cosines_of_log_plays(tmp_path, n_neighbours):
    found = fit_neighbours(PLAYS, FitRun(tmp_path), n_neighbours=n_neighbours)
    expected = cosines(n_neighbours)
    np.testing.assert_allclose(found.toarray(), expected, atol=2e-6)


def test_neighbours_list_the_highest_sums(tmp_path):
    found = WeightsRanker(of_matrix(fit_neighbours(PLAYS, FitRun(tmp_path), n_neighbours=10))).rank(
        USERS, PLAYS, 8
    )
    scores = np.log1p(PLAYS.toarray().astype(np.float64)) @ cosines(10)
    scores[PLAYS.nonzero()] = 0
    for row, items in enumerate(found):
        listed = items[items >= 0]
        best = -np.sort(-scores[row])[:8]
        np.testing.assert_allclose(scores[row][listed], best[best > 1e-9], atol=1e-5)


def test_neighbours_depend_on_neither_blocks_nor_threads(tmp_path, monkeypatch):
    (tmp_path / "whole").mkdir()
    (tmp_path / "blocks").mkdir()
    whole = fit_neighbours(PLAYS, FitRun(tmp_path / "whole"))
    monkeypatch.setattr(neighbours, "PRODUCT_NNZ", 50)
    blocks = fit_neighbours(PLAYS, FitRun(tmp_path / "blocks", threads=3, range_nnz=64))
    assert np.array_equal(whole.data, blocks.data)
    assert np.array_equal(whole.indices, blocks.indices)


def test_long_lists_count_by_a_sample_of_their_artists(tmp_path, monkeypatch):
    for name in ("cut", "blocks", "sampled"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(neighbours, "MAX_LIST", 5)
    lengths = np.diff(PLAYS.indptr)
    assert lengths.min() < 5 < lengths.max()
    found = neighbours._cut(PLAYS, tmp_path / "cut")
    for row in range(PLAYS.shape[0]):
        kept = dict(zip(found[row].indices.tolist(), found[row].data.tolist(), strict=True))
        whole = dict(zip(PLAYS[row].indices.tolist(), PLAYS[row].data.tolist(), strict=True))
        assert len(kept) == min(len(whole), 5)
        assert kept.items() <= whole.items()
        assert np.all(np.diff(found[row].indices) > 0)
    whole = fit_neighbours(PLAYS, FitRun(tmp_path / "sampled"))
    monkeypatch.setattr(arrays, "BLOCK_NNZ", 9)
    again = fit_neighbours(PLAYS, FitRun(tmp_path / "blocks", threads=2))
    assert np.array_equal(whole.indices, again.indices)


def test_a_user_who_has_everything_takes_no_time(tmp_path):
    n_artists = 60_000
    indptr = np.array([0, n_artists, n_artists + 3], np.int32)
    indices = np.concatenate((np.arange(n_artists), [1, 7, 9])).astype(np.int32)
    plays = csr_matrix((np.full(len(indices), 3, np.float32), indices, indptr), shape=(2, n_artists))
    seen = []
    run = FitRun(tmp_path, progress=lambda done, total: seen.append(total))
    fit_neighbours(plays, run, n_neighbours=4)
    # 60,000 artists times 60,000 others would be 13,700 products of the size that is held.
    assert len(seen) < 100


def test_ease_is_refused_where_it_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(ease, "MAX_PRODUCTS", 1000)
    assert not ease.has_room(PLAYS.shape, PLAYS.nnz)
    with pytest.raises(BadInputError, match="multiplications"):
        fit_ease(PLAYS, FitRun(tmp_path))


def test_ties_go_to_the_artist_who_came_first():
    indices, scores = neighbours.nearest(np.array([5, 3, 9, 1]), np.array([0.5, 0.5, 0.9, 0.5]), 3)
    assert indices.tolist() == [9, 1, 3]
    assert scores.tolist() == [0.9, 0.5, 0.5]


@pytest.mark.parametrize("n_users", [25, 70])
@pytest.mark.parametrize("threads", [1, 3])
def test_ease_is_the_dense_inverse(tmp_path, monkeypatch, n_users, threads):
    monkeypatch.setattr(ease, "BLOCK_VALUES", 500)
    plays = PLAYS[:n_users]
    weights = np.log1p(plays.toarray().astype(np.float64))
    weights /= np.sqrt(np.mean(np.square(weights[weights > 0])))
    inverse = np.linalg.inv(weights.T @ weights + 9 * np.eye(plays.shape[1]))
    expected = np.eye(len(inverse)) - inverse / np.diag(inverse)
    np.testing.assert_allclose(fit_ease(plays, FitRun(tmp_path, threads), 9.0).toarray(), expected, atol=2e-6)


def test_ease_keeps_the_largest_weights_of_each_artist(tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "few").mkdir()
    every = fit_ease(PLAYS, FitRun(tmp_path / "all"), 9.0).toarray()
    few = fit_ease(PLAYS, FitRun(tmp_path / "few"), 9.0, n_weights=5).toarray()
    for j, column in enumerate(every.T):
        largest = np.argsort(-np.abs(column), kind="stable")[:5]
        assert set(np.flatnonzero(few[:, j])) == set(largest)
        np.testing.assert_array_equal(few[largest, j], column[largest])


def test_ease_is_refused_where_it_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(ease, "MAX_SIDE", 44)
    with pytest.raises(BadInputError, match="at most 44"):
        fit_ease(PLAYS, FitRun(tmp_path))


def test_where_artists_are_few_all_weights_are_kept():
    assert ease.weights_of_each(4096) == 4096
    assert ease.weights_of_each(5000) == ease.MAX_WEIGHTS // 5000
    assert ease.weights_of_each(10**6) == ease.N_WEIGHTS

"""When training is done: the objective on its sample, and the iterations that follow from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from making import random_plays

from lastfm_dask.dataset.arrays import create_array
from lastfm_dask.training import objective as module
from lastfm_dask.training.fit import fit
from lastfm_dask.training.history import MIN_ITERATIONS, RANK_TOLERANCE, TOLERANCE, History
from lastfm_dask.training.objective import Objective, effective_rank
from lastfm_dask.training.prepare import prepare
from lastfm_dask.training.settings import PRESETS

SETTINGS = replace(PRESETS["recommended"], factors=8, regularization=5.0)


@pytest.fixture
def matrix(tmp_path):
    return prepare(random_plays(300, 120, 15, seed=5), SETTINGS, tmp_path).user_items


def empty_factors(folder, matrix, factors=8):
    return [create_array(folder / f"{i}.npy", (n, factors), np.float32) for i, n in enumerate(matrix.shape)]


@pytest.mark.parametrize("chunk", [64, 1 << 18])
def test_a_sample_of_everything_is_the_objective_of_the_paper(matrix, monkeypatch, chunk):
    monkeypatch.setattr(module, "CHUNK_FACTORS", chunk)
    monkeypatch.setattr(module, "MIN_VALUES", 1 << 20)
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, 8)).astype(np.float32) for n in matrix.shape)
    dense = matrix.toarray().astype(np.float64)
    scores = users.astype(np.float64) @ items.T
    confidence = np.where(dense > 0, dense, 1)
    expected = np.sum(confidence * ((dense > 0) - scores) ** 2)
    expected += 3.5 * (np.sum(users.astype(float) ** 2) + np.sum(items.astype(float) ** 2))
    assert Objective.of(matrix, 3.5).value(users, items) == pytest.approx(expected, rel=1e-5)


def test_training_stops_once_objective_and_rank_settle(tmp_path, matrix):
    (tmp_path / "m").mkdir()
    history = fit(matrix, SETTINGS, *empty_factors(tmp_path / "m", matrix), threads=1)
    changes = -np.diff(history.objective) / np.abs(history.objective[1:])
    moves = np.abs(np.diff(history.ranks)) / history.ranks[1:]
    settled = (changes < TOLERANCE) & (moves < RANK_TOLERANCE)
    assert history.has_settled
    assert len(changes) == len(moves) == history.iterations < SETTINGS.max_iterations
    assert settled[-1]
    assert not settled[MIN_ITERATIONS - 1 : -1].any()
    assert history.iterations >= MIN_ITERATIONS


@pytest.mark.parametrize(
    ("objective", "ranks", "settled"),
    [
        ([100.0, 99.6], [20.0, 20.5], True),
        ([100.0, 98.0], [20.0, 20.5], False),
        ([100.0, 99.6], [1.4, 1.6], False),
    ],
)
def test_weak_directions_keep_training_going_where_the_objective_rests(objective, ranks, settled):
    assert History(9, objective, ranks).has_settled is settled


def test_the_rank_is_that_of_the_artists_factors(matrix, monkeypatch):
    monkeypatch.setattr(module, "MIN_ROWS", 1 << 20)
    items = np.random.default_rng(0).normal(size=(matrix.shape[1], 8)).astype(np.float32)
    gram = items.T.astype(float) @ items
    assert Objective.of(matrix, 3.5).rank(items) == pytest.approx(effective_rank(gram), rel=1e-4)


def test_the_number_of_iterations_does_not_depend_on_threads(tmp_path, matrix):
    found = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        folder.mkdir()
        factors = empty_factors(folder, matrix)
        found.append((fit(matrix, SETTINGS, *factors, threads=threads), np.array(factors[1])))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_as_many_iterations_as_asked_and_at_most_the_most(tmp_path, matrix):
    factors = empty_factors(tmp_path, matrix)
    assert fit(matrix, replace(SETTINGS, iterations=2, auto=()), *factors, threads=1) == History(2)
    most = fit(matrix, replace(SETTINGS, max_iterations=1), *factors, threads=1)
    assert most.iterations == 1
    assert not most.has_settled


def test_effective_rank_counts_directions():
    assert effective_rank(np.diag([1.0, 1.0, 1.0, 0.0])) == pytest.approx(3)
    assert effective_rank(np.outer(np.ones(4), np.ones(4))) == pytest.approx(1)
    assert effective_rank(np.zeros((2, 2))) == 0

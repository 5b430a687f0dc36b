"""Gini index, popularity, novelty, paired differences and figures by user, against their definitions."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from making import random_plays

from lastfm_dask.errors import StoreError
from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation.beyond import beyond_accuracy, difference, gini, write_per_user
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings


def test_gini_is_the_mean_difference_over_twice_the_mean():
    counts = np.random.default_rng(0).integers(0, 9, 40)
    differences = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()))
    assert gini(np.full(7, 3)) == pytest.approx(0)
    assert gini(np.zeros(7, int)) == 0


def test_lists_beyond_accuracy():
    items = np.array([[0, 1, -1], [0, 2, 1]])
    found = beyond_accuracy(items, np.array([8, 4, 1, 2]), 16, (1, 3))
    assert found["popularity@1"] == 8
    assert found["popularity@3"] == pytest.approx((8 + 4 + 8 + 1 + 4) / 5)
    assert found["novelty@3"] == pytest.approx((1 + 2 + 1 + 4 + 2) / 5)
    assert found["gini@1"] == pytest.approx(0.75)


def test_a_difference_is_paired():
    rng = np.random.default_rng(1)
    hard = rng.random(500)
    found = difference(("a", "b"), "ndcg@10", (hard + 0.01, hard), 0, 200)
    assert found.value == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.01)


def test_figures_by_user_are_those_that_are_averaged(tmp_path):
    plays = random_plays(n_users=60, n_artists=40, per_user=8)
    models = [candidates.popularity(), candidates.neighbours()]
    found = evaluate(plays, models, EvaluationSettings(n_resamples=20), EvaluationRun(folder=tmp_path))
    for model in found.models:
        assert model.per_user["ndcg@10"].mean() == pytest.approx(model.metrics["ndcg@10"].value)
    (one,) = found.differences("ndcg@10")
    values = [model.metrics["ndcg@10"].value for model in found.models]
    assert one.value == pytest.approx(values[0] - values[1])
    names = [f"user {row}" for row in found.users]
    path = tmp_path / "users.parquet"
    write_per_user(path, names, {model.name: model.per_user for model in found.models})
    table = pq.read_table(path).to_pydict()
    assert table["user"] == names * 2
    assert table["ndcg@10"][: len(names)] == found.models[0].per_user["ndcg@10"].tolist()
    with pytest.raises(StoreError):
        write_per_user(path, names, {})

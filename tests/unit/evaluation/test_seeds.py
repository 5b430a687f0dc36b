"""Several seeds: means and deviations over their splits, and differences in which each user counts once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from making import random_plays

from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
from lastfm_dask.evaluation.seeds import over_seeds
from lastfm_dask.evaluation.splits import SplitSettings

PLAYS = random_plays(n_users=60, n_artists=40, per_user=8)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    models = [candidates.neighbours(), candidates.popularity()]
    run = EvaluationRun(folder=tmp_path_factory.mktemp("seeds"))
    wanted = EvaluationSettings(n_users=30, n_resamples=50)
    return over_seeds(lambda settings: evaluate(PLAYS, models, settings, run), wanted, [1, 2, 3])


def test_each_seed_is_an_evaluation_of_its_own(found):
    assert found.seeds == [1, 2, 3]
    first = found.evaluations[0]
    alone = evaluate(
        PLAYS,
        [candidates.neighbours()],
        EvaluationSettings(SplitSettings(seed=1), n_users=30, n_resamples=50),
    )
    assert alone.models[0].metrics == first.models[0].metrics
    assert first.models[0].metrics != found.evaluations[1].models[0].metrics


def test_figures_are_means_with_the_deviation_of_the_splits(found):
    values = [one.models[0].metrics["ndcg@10"].value for one in found.evaluations]
    document = json.loads(json.dumps(found.to_dict()))
    entry = document["models"][0]
    assert entry["name"] == "neighbours"
    assert entry["ndcg@10"] == pytest.approx(np.mean(values))
    assert entry["sd"]["ndcg@10"] == pytest.approx(np.std(values, ddof=1))
    assert [one["split"]["seed"] for one in document["evaluations"]] == [1, 2, 3]
    assert "±" in repr(found)


def test_a_user_of_several_splits_counts_once(found):
    by_user = {}
    for one in found.evaluations:
        gains = one.models[0].per_user["ndcg@10"] - one.models[1].per_user["ndcg@10"]
        for user, gain in zip(one.users.tolist(), gains, strict=True):
            by_user.setdefault(user, []).append(gain)
    assert max(map(len, by_user.values())) > 1
    (difference,) = found.differences("ndcg@10")
    assert difference.value == pytest.approx(np.mean([np.mean(gains) for gains in by_user.values()]))
    assert difference.low < difference.value < difference.high


@pytest.mark.parametrize("seeds", [[], [4], [4, 4]])
def test_seeds_that_say_nothing_are_refused(seeds):
    with pytest.raises(BadInputError, match="at least two, each once"):
        over_seeds(lambda settings: pytest.fail("evaluated"), EvaluationSettings(), seeds)

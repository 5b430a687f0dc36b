"""The recommended preset is worth its name: on real data where it is at hand, on a log with taste groups everywhere."""

from __future__ import annotations

from statistics import mean

import pytest
from command_line import run
from making import random_plays

from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.evaluation import candidates
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
from lastfm_dask.evaluation.splits import SplitSettings
from lastfm_dask.training.settings import PRESETS

PRESET_MODELS = [candidates.als(name, settings) for name, settings in PRESETS.items()]


def ndcg(user_items, models, folder, **split):
    """Return each model's NDCG@10 with its interval, by name."""
    settings = EvaluationSettings(SplitSettings(**split), n_resamples=200)
    found = evaluate(user_items, models, settings, EvaluationRun(folder=folder))
    return {model.name: model.metrics["ndcg@10"] for model in found.models}


@pytest.fixture(scope="module")
def hetrec(real_data, tmp_path_factory):
    """HetRec 2011 Last.fm 2K, read by the command line."""
    path = tmp_path_factory.mktemp("quality") / "hetrec.dataset"
    source = real_data / "hetrec_lastfm2k" / "user_artists.dat"
    run("ingest", source, "--format", "hetrec-2k", "-o", path)
    return Dataset(path).user_items


def test_real_listeners_are_served_better_by_far(hetrec, tmp_path):
    found = [ndcg(hetrec, PRESET_MODELS, tmp_path, fraction=0.2, seed=seed) for seed in (1, 2, 3)]
    for one in found:
        assert one["recommended"].value >= 0.24
        assert one["recommended"].value >= 1.7 * one["notebook"].value
    # Popularity is reached by no chance: the intervals are apart.
    popular = ndcg(hetrec, [candidates.popularity()], tmp_path, seed=1)["popularity"]
    assert found[0]["notebook"].low > popular.high
    assert mean(one["recommended"].low for one in found) >= 0.24


def test_real_listeners_who_are_new_are_served_too(hetrec, tmp_path):
    models = [candidates.als("recommended", PRESETS["recommended"]), candidates.popularity()]
    found = ndcg(hetrec, models, tmp_path, method="new-users", seed=1)
    assert found["recommended"].low > found["popularity"].high


@pytest.mark.parametrize("method", ["random", "new-users"])
def test_taste_groups_are_found(tmp_path, method):
    plays = random_plays(n_users=800, n_artists=300, per_user=20, n_groups=6)
    found = ndcg(plays, [*PRESET_MODELS, candidates.popularity()], tmp_path, method=method, seed=1)
    assert found["recommended"].low > found["popularity"].high
    assert found["recommended"].low > found["notebook"].high

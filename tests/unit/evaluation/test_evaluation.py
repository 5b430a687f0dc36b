"""An evaluation as a whole: planned, the same on any threads, clean behind itself."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from making import random_plays

from lastfm_dask.dataset.matrix import MIN_RANGE_NNZ, RANGE_NNZ
from lastfm_dask.errors import BadInputError, BudgetError
from lastfm_dask.evaluation import candidates, evaluator
from lastfm_dask.evaluation.evaluate import evaluate
from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings, choose_users, rank_users
from lastfm_dask.evaluation.plan import EvaluationShape, plan_evaluation, temporary_bytes
from lastfm_dask.evaluation.splits import SplitSettings, make_split
from lastfm_dask.memory.budget import Budget
from lastfm_dask.progress import progress_of
from lastfm_dask.training.settings import TrainSettings

PLAYS = random_plays(n_users=150, n_artists=80, per_user=10, seed=1)
SMALL = TrainSettings(factors=8, regularization=3.0, iterations=3)
ALL = [candidates.als("small", SMALL), candidates.popularity(), candidates.neighbours()]
SHAPE = EvaluationShape(
    n_users=359_000,
    n_artists=292_000,
    nnz=17_500_000,
    longest=200,
    n_evaluated=10_000,
    n_held_out=3_500_000,
    k=10,
    n_ks=1,
    factors=128,
    neighbours=True,
)
GIB = 1 << 30


@pytest.mark.parametrize("method", ["random", "last", "new-users"])
def test_figures_do_not_depend_on_threads(tmp_path, monkeypatch, method):
    monkeypatch.setattr(evaluator, "BATCH_USERS", 16)
    settings = EvaluationSettings(SplitSettings(method), ks=(5, 10), n_resamples=20)
    one, three = (evaluate(PLAYS, ALL, settings, EvaluationRun(threads=n, folder=tmp_path)) for n in (1, 3))
    assert one.split == three.split
    assert [model.metrics for model in one.models] == [model.metrics for model in three.models]
    assert all(model.metrics["ndcg@10"].value > 0 for model in one.models)
    assert list(tmp_path.iterdir()) == []


def test_every_stage_has_a_receipt_and_progress_comes_to_its_end(tmp_path):
    told = {}
    run = EvaluationRun(
        folder=tmp_path, progress=progress_of(lambda what, done, total: told.update({what: done / total}))
    )
    found = evaluate(PLAYS, ALL, EvaluationSettings(n_resamples=0), run)
    steps = [f"{step} {one.name}" for one in ALL for step in ("fit", "rank", "measure")]
    assert [stage["stage"] for stage in found.stages] == ["split", *steps]
    assert all(told[what] == 1 for what in ("split", "fit small", "rank small", "rank popularity"))
    assert json.loads(json.dumps(found.to_dict()))["models"][0]["name"] == "small"


def test_too_little_memory_is_refused_before_any_work(tmp_path):
    run = EvaluationRun(
        memory_bytes=1 << 20, folder=tmp_path, progress=progress_of(lambda *told: pytest.fail(str(told)))
    )
    with pytest.raises(BudgetError) as caught:
        evaluate(PLAYS, ALL, None, run)
    assert caught.value.smallest_bytes == caught.value.projected_bytes > caught.value.allowed_bytes
    assert list(tmp_path.iterdir()) == []


def test_a_sample_of_listeners_is_drawn_by_the_seed(tmp_path):
    split = make_split(PLAYS, SplitSettings(), tmp_path)
    all_users, _ = choose_users(split, EvaluationSettings(n_users=None))
    some, _ = choose_users(split, EvaluationSettings(n_users=30))
    again, _ = choose_users(split, EvaluationSettings(n_users=30))
    assert len(some) == 30
    assert np.array_equal(some, again)
    assert set(some) < set(all_users)
    assert (np.diff(split.held_out.indptr)[all_users] > 0).all()
    assert (np.diff(split.train.indptr)[all_users] > 0).all()


def test_an_error_in_one_batch_ends_the_ranking():
    class Failing:
        def rank(self, *_):
            msg = "no list"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="no list"):
        rank_users(Failing(), PLAYS, np.arange(150), 10, threads=3)


@pytest.mark.parametrize(
    ("change", "word"), [({"ks": ()}, "k is missing"), ({"ks": (0,)}, "k is 0"), ({"n_users": 0}, "0 users")]
)
def test_settings_that_can_not_be_are_refused(change, word):
    with pytest.raises(BadInputError, match=word):
        EvaluationSettings(**change)


def planned(allowed=64 * GIB, free_disk=64 * GIB, **changes):
    return plan_evaluation(SHAPE, Budget(allowed, 50_000_000, 8, free_disk, **changes))


def test_a_plan_takes_shorter_ranges_then_fewer_threads():
    plenty = planned()
    assert (plenty.settings.threads, plenty.settings.range_nnz) == (8, RANGE_NNZ)
    less = planned(plenty.projected_bytes - 1)
    assert less.settings.range_nnz < RANGE_NNZ or less.settings.threads < 8
    with pytest.raises(BudgetError) as caught:
        planned(60_000_000)
    smallest = caught.value.smallest_bytes
    least = planned(smallest).settings
    assert (least.threads, least.range_nnz) == (1, MIN_RANGE_NNZ)
    with pytest.raises(BudgetError):
        planned(smallest - 1)


def test_files_count_against_the_disk_or_the_memory_they_live_in():
    needed = temporary_bytes(SHAPE)
    with pytest.raises(BudgetError, match="--scratch"):
        planned(free_disk=needed - 1)
    on_disk, in_memory = (planned(free_disk=needed, disk_in_memory=lives) for lives in (False, True))
    assert in_memory.stages["split"] - on_disk.stages["split"] == needed


def test_batches_of_few_stored_values_give_the_same_figures(tmp_path, monkeypatch):
    settings = EvaluationSettings(ks=(5, 10), n_resamples=5)
    wide = evaluate(PLAYS, ALL, settings, EvaluationRun(folder=tmp_path))
    seen = []
    rank = candidates.AlsRanker.rank

    def watched(self, users, history, k):
        seen.append((len(users), history.nnz))
        return rank(self, users, history, k)

    monkeypatch.setattr(evaluator, "BATCH_VALUES", 30)
    monkeypatch.setattr(candidates.AlsRanker, "rank", watched)
    narrow = evaluate(PLAYS, ALL, settings, EvaluationRun(folder=tmp_path))
    assert [model.metrics for model in wide.models] == [model.metrics for model in narrow.models]
    assert all(nnz <= 30 or n_users == 1 for n_users, nnz in seen)
    assert sum(n_users for n_users, _ in seen) == wide.split["n_users"]


def test_one_very_long_list_is_planned_by_its_values_and_not_for_every_user():
    shape = replace(SHAPE, n_users=2_000, n_artists=2_000_000, nnz=2_000_000, longest=1_000_000, factors=8)
    shape = replace(shape, n_evaluated=2_000, n_held_out=400_000)
    plan = plan_evaluation(shape, Budget(GIB, reserved=60 << 20, cpus=2))
    assert plan.projected_bytes < GIB
    # A user who is folded in has the vectors of a whole list in memory.
    folded = plan_evaluation(replace(shape, folds_in=True), Budget(4 * GIB, reserved=60 << 20, cpus=2))
    assert folded.stages["rank"] > plan.stages["rank"] + 32 * 8 * shape.longest

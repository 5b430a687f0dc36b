"""Plans of training and of answering for all users: smaller pieces first, then a refusal with numbers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from lastfm_dask.dataset.matrix import MIN_RANGE_NNZ, RANGE_NNZ, transpose_on_disk
from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.budget import Budget
from lastfm_dask.recommender.all_users import BATCH_USERS, MIN_BATCH_USERS
from lastfm_dask.recommender.plan import RecommendingShape, plan_recommending
from lastfm_dask.training.plan import (
    FitSettings,
    TrainingShape,
    most_listeners,
    plan_training,
    transpose_bytes,
)

MIB, GIB = 1 << 20, 1 << 30
FULL = TrainingShape(n_users=359_349, n_artists=292_589, nnz=17_500_000, factors=128)
BUDGET = Budget(8 * GIB, reserved=40 * MIB, cpus=2, free_disk=100 * GIB)
ALL_USERS = RecommendingShape(
    n_users=359_349, n_artists=292_589, nnz=17_500_000, factors=128, n=10, names_bytes=25_000_000
)


def planned(shape=FULL, **changes):
    return plan_training(shape, replace(BUDGET, **changes))


def test_with_memory_to_spare_the_transpose_is_made_in_large_ranges():
    plan = planned()
    assert plan.settings == FitSettings(2, RANGE_NNZ)
    # A range's columns and values (4 bytes each) are gathered, then sorted into as much again.
    assert plan.stages["prepare"] >= BUDGET.reserved + 16 * RANGE_NNZ


def test_the_disk_holds_factors_and_their_copy_confidences_and_the_transpose():
    factors = 4 * FULL.factors * (FULL.n_users + FULL.n_artists)
    confidences = 4 * FULL.nnz
    transpose = 8 * FULL.nnz + 4 * (FULL.n_artists + 1)
    known = 2 * factors + confidences + transpose
    assert known <= planned().disk_bytes <= 1.1 * known


@pytest.mark.parametrize("range_nnz", [1 << 16, 1 << 18, 1 << 20])
def test_a_transpose_allocates_no_more_than_is_planned_for_it(tmp_path, range_nnz):
    plays = csr_matrix(np.ones((700, 1100), np.float32))
    shape = TrainingShape(*plays.shape, nnz=plays.nnz, factors=8)
    tracemalloc.start()
    try:
        transpose_on_disk(plays, np.full(plays.shape[1], plays.shape[0]), tmp_path, range_nnz)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    projected = transpose_bytes(shape, FitSettings(1, range_nnz))
    assert peak <= projected
    # All values in one range are the worst case, which the plan counts.
    assert range_nnz < plays.nnz or projected <= 2 * peak


def test_an_artist_with_many_listeners_is_gathered_in_one_piece_as_planned(tmp_path):
    n_users = 300_000
    plays = csr_matrix(np.ones((n_users, 1), np.float32))
    shape = TrainingShape(*plays.shape, nnz=plays.nnz, factors=8, most_listeners=n_users)
    tracemalloc.start()
    try:
        transpose_on_disk(plays, np.array([n_users]), tmp_path, 1 << 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    settings = FitSettings(1, 1 << 10)
    assert (
        transpose_bytes(replace(shape, most_listeners=0), settings) < peak <= transpose_bytes(shape, settings)
    )


def test_the_most_listeners_are_those_of_the_best_known_artist():
    assert most_listeners({"top_artists": [{"listeners": 7}, {"listeners": 9}]}) == 9
    assert most_listeners({}) == 0


def test_ranges_shrink_until_they_fit():
    wide = planned()
    tight = planned(allowed=wide.stages["prepare"] - 1)
    assert MIN_RANGE_NNZ <= tight.settings.range_nnz < wide.settings.range_nnz
    assert tight.projected_bytes < wide.stages["prepare"]


def test_the_full_size_fits_a_small_pod():
    assert planned(allowed=128 * MIB).projected_bytes <= 128 * MIB


def test_the_smallest_limit_that_would_do_does_and_one_byte_less_does_not():
    with pytest.raises(BudgetError) as caught:
        planned(allowed=1)
    smallest = caught.value.smallest_bytes
    planned(allowed=smallest)
    with pytest.raises(BudgetError) as caught:
        planned(allowed=smallest - 1)
    assert caught.value.stage in {"prepare", "fit"}
    assert str(smallest) in str(caught.value)


def test_copies_and_a_disk_that_is_memory_count():
    plan = planned()
    copied = planned(replace(FULL, copied_bytes=10 * MIB))
    assert copied.disk_bytes == plan.disk_bytes + 10 * MIB
    in_memory = planned(disk_in_memory=True)
    assert in_memory.stages["fit"] == plan.stages["fit"] + plan.disk_bytes


def test_a_disk_that_is_too_small_is_refused():
    with pytest.raises(BudgetError, match="on disk") as caught:
        planned(free_disk=GIB // 4)
    needed = caught.value.smallest_bytes
    assert planned(free_disk=needed).disk_bytes == needed
    with pytest.raises(BudgetError, match="on disk"):
        planned(free_disk=needed - 1)


def all_users(allowed, cpus=2, shape=ALL_USERS):
    return plan_recommending(shape, Budget(allowed, reserved=40 * MIB, cpus=cpus))


def test_all_users_gives_up_batch_size_then_threads_then_refuses():
    wide = all_users(8 * GIB)
    assert (wide.settings.batch_users, wide.settings.threads) == (BATCH_USERS, 2)
    with pytest.raises(BudgetError) as caught:
        all_users(1)
    smallest = caught.value.smallest_bytes
    seen = [wide]
    while seen[-1].projected_bytes > smallest:
        seen.append(all_users(seen[-1].projected_bytes - 1))
        assert seen[-1].projected_bytes < seen[-2].projected_bytes
    assert (seen[-1].settings.batch_users, seen[-1].settings.threads) == (MIN_BATCH_USERS, 1)
    sizes = [plan.settings.batch_users for plan in seen]
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(BudgetError):
        all_users(smallest - 1)


def test_all_users_of_a_small_model_is_one_batch():
    plan = all_users(GIB, shape=replace(ALL_USERS, n_users=5, nnz=250))
    assert plan.settings.batch_users == 5
    assert "5 users at once" in plan.lines()[0]

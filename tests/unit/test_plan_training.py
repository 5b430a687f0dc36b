"""Plans of training and of answering for all_users: pace is given up before work, and work is refused with numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lastfm_dask.errors import BudgetError
from lastfm_dask.recommender.plan import (
    BATCH_USERS,
    MIN_BATCH_USERS,
    RecommendingShape,
    plan_recommending,
)
from lastfm_dask.training.plan import (
    MIN_RANGE_NNZ,
    RANGE_NNZ,
    Room,
    TrainingShape,
    disk_bytes,
    plan_training,
    prepare_bytes,
)

MIB, GIB = 1 << 20, 1 << 30
FULL = TrainingShape(n_users=359_349, n_artists=292_589, nnz=17_500_000, factors=128, threads=2)
ROOM = Room(reserved_bytes=40 * MIB, allowed_bytes=8 * GIB, free_bytes=100 * GIB)
EVERYBODY = RecommendingShape(
    n_users=359_349, n_artists=292_589, nnz=17_500_000, factors=128, n=10, names_bytes=25_000_000
)


def test_with_room_the_transpose_is_made_in_large_ranges():
    plan = plan_training(FULL, ROOM)
    assert plan.range_nnz == RANGE_NNZ
    assert plan.prepare_bytes == prepare_bytes(FULL, RANGE_NNZ, ROOM.reserved_bytes)
    assert plan.disk_bytes == disk_bytes(FULL)
    # Factors on disk, at least.
    assert plan.disk_bytes > 4 * 128 * (FULL.n_users + FULL.n_artists)


def test_ranges_shrink_until_they_fit():
    wide = plan_training(FULL, ROOM)
    tight = plan_training(FULL, replace(ROOM, allowed_bytes=wide.prepare_bytes - 1))
    assert MIN_RANGE_NNZ <= tight.range_nnz < wide.range_nnz
    assert max(tight.prepare_bytes, tight.fit_bytes) < wide.prepare_bytes


def test_the_full_size_fits_a_small_pod():
    plan = plan_training(FULL, replace(ROOM, allowed_bytes=128 * MIB))
    assert max(plan.prepare_bytes, plan.fit_bytes) <= 128 * MIB


def test_the_smallest_limit_that_would_do_does_and_one_byte_less_does_not():
    with pytest.raises(BudgetError) as caught:
        plan_training(FULL, replace(ROOM, allowed_bytes=1))
    smallest = caught.value.smallest_bytes
    plan_training(FULL, replace(ROOM, allowed_bytes=smallest))
    with pytest.raises(BudgetError) as caught:
        plan_training(FULL, replace(ROOM, allowed_bytes=smallest - 1))
    assert caught.value.stage in {"prepare", "fit"}
    assert str(smallest) in str(caught.value)


def test_copies_and_a_disk_that_is_memory_count():
    plan = plan_training(FULL, ROOM)
    copied = plan_training(FULL, replace(ROOM, copied_bytes=10 * MIB))
    assert copied.disk_bytes == plan.disk_bytes + 10 * MIB
    in_memory = plan_training(FULL, replace(ROOM, disk_is_memory=True))
    assert in_memory.fit_bytes == plan.fit_bytes + plan.disk_bytes


def test_a_disk_that_is_too_small_is_refused():
    with pytest.raises(BudgetError, match="on disk") as caught:
        plan_training(FULL, replace(ROOM, free_bytes=GIB // 4))
    assert caught.value.smallest_bytes == disk_bytes(FULL)
    plan_training(FULL, replace(ROOM, free_bytes=disk_bytes(FULL)))


def test_a_plan_is_shown_in_numbers():
    lines = plan_training(FULL, ROOM).lines()
    assert [line.split()[1:3] for line in lines[:2]] == [["stage", "prepare"], ["stage", "fit"]]
    assert "disk" in lines[2]


def all_users(allowed_bytes, threads=2, shape=EVERYBODY):
    return plan_recommending(shape, threads, reserved_bytes=40 * MIB, allowed_bytes=allowed_bytes)


def test_all_users_gives_up_batch_size_then_threads_then_refuses():
    wide = all_users(8 * GIB)
    assert (wide.batch_users, wide.threads) == (BATCH_USERS, 2)
    with pytest.raises(BudgetError) as caught:
        all_users(1)
    smallest = caught.value.smallest_bytes
    seen = [wide]
    while seen[-1].projected_bytes > smallest:
        seen.append(all_users(seen[-1].projected_bytes - 1))
        assert seen[-1].projected_bytes < seen[-2].projected_bytes
    assert (seen[-1].batch_users, seen[-1].threads) == (MIN_BATCH_USERS, 1)
    assert [plan.batch_users for plan in seen] == sorted((plan.batch_users for plan in seen), reverse=True)
    with pytest.raises(BudgetError):
        all_users(smallest - 1)


def test_all_users_of_a_small_model_is_one_batch():
    plan = all_users(GIB, shape=replace(EVERYBODY, n_users=5, nnz=250))
    assert plan.batch_users == 5
    assert "5 users at once" in plan.line()

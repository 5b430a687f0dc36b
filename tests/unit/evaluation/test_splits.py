"""What is held out: exact numbers, the right places, the same whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from making import random_plays
from scipy.sparse import csr_matrix

from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation import splits
from lastfm_dask.evaluation.splits import (
    HELD_OUT,
    HISTORY,
    TRAIN,
    SplitSettings,
    assign_roles,
    largest_held_out,
    make_split,
)

PLAYS = random_plays(n_users=120, n_artists=50, per_user=7, seed=3)
METHODS = ("random", "last", "new-users")


def by_row(roles, role):
    rows = np.repeat(np.arange(PLAYS.shape[0]), np.diff(PLAYS.indptr))
    return np.bincount(rows[roles == role], minlength=PLAYS.shape[0])


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.9])
def test_random_holds_out_the_exact_share(fraction):
    roles = assign_roles(PLAYS.indptr, SplitSettings("random", fraction))
    assert np.count_nonzero(roles == HELD_OUT) == round(fraction * PLAYS.nnz)
    assert set(np.unique(roles)) == {TRAIN, HELD_OUT}


def test_random_chooses_every_interaction_as_often():
    counts = np.zeros(PLAYS.nnz)
    n_seeds = 400
    for seed in range(n_seeds):
        counts += assign_roles(PLAYS.indptr, SplitSettings("random", 0.2, seed=seed)) == HELD_OUT
    # Each is held out with chance 0.2: five standard deviations of a binomial, for each of some hundred.
    spread = 5 * np.sqrt(n_seeds * 0.2 * 0.8)
    assert np.all(np.abs(counts - n_seeds * 0.2) < spread)


def test_random_is_exact_over_several_blocks(monkeypatch):
    monkeypatch.setattr(splits, "BLOCK_NNZ", 64)
    roles = assign_roles(PLAYS.indptr, SplitSettings("random", 0.3))
    assert np.count_nonzero(roles == HELD_OUT) == round(0.3 * PLAYS.nnz)
    assert all(0 < np.count_nonzero(roles[i : i + 64] == HELD_OUT) < 64 for i in range(0, PLAYS.nnz - 64, 64))


@pytest.mark.parametrize("k", [1, 3, 7])
def test_leave_k_out_takes_k_of_each_who_has_more(k):
    roles = assign_roles(PLAYS.indptr, SplitSettings("last", n_held_out=k))
    lengths = np.diff(PLAYS.indptr)
    assert np.array_equal(by_row(roles, HELD_OUT), np.where(lengths > k, k, 0))
    assert (by_row(roles, TRAIN) >= 1).all()


def test_new_listeners_are_hidden_whole_and_half_told():
    roles = assign_roles(PLAYS.indptr, SplitSettings("new-users", 0.25))
    lengths = np.diff(PLAYS.indptr)
    hidden = by_row(roles, TRAIN) == 0
    assert np.count_nonzero(hidden) == round(0.25 * np.count_nonzero(lengths >= 2))
    assert np.array_equal(by_row(roles, HISTORY)[hidden], lengths[hidden] // 2)
    assert np.array_equal(by_row(roles, HELD_OUT)[hidden], (lengths - lengths // 2)[hidden])
    assert np.array_equal(by_row(roles, TRAIN)[~hidden], lengths[~hidden])


@pytest.mark.parametrize("method", ["last", "new-users"])
def test_rows_do_not_depend_on_the_block(monkeypatch, method):
    whole = assign_roles(PLAYS.indptr, SplitSettings(method))
    monkeypatch.setattr(splits, "BLOCK_NNZ", 10)
    assert np.array_equal(assign_roles(PLAYS.indptr, SplitSettings(method)), whole)


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_is_a_split(method):
    first, again, other = (assign_roles(PLAYS.indptr, SplitSettings(method, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("method", METHODS)
def test_no_more_is_held_out_than_was_foretold(method):
    settings = SplitSettings(method, 0.3, n_held_out=4)
    roles = assign_roles(PLAYS.indptr, settings)
    assert np.count_nonzero(roles == HELD_OUT) <= largest_held_out(np.diff(PLAYS.indptr), settings)


def test_only_new_listeners_are_folded_in(tmp_path):
    for method in METHODS:
        (tmp_path / method).mkdir()
        split = make_split(PLAYS, SplitSettings(method), tmp_path / method)
        assert split.folds_in == (method == "new-users")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"method": "often"}, "new-users"),
        ({"fraction": 1.0}, "above 0 and below 1"),
        ({"n_held_out": 0}, "at least 1"),
        ({"seed": -1}, "0 or above"),
    ],
)
def test_settings_that_can_not_be_are_refused(settings, word):
    with pytest.raises(BadInputError, match=word):
        SplitSettings(**settings)


def test_a_matrix_that_leaves_nothing_is_refused(tmp_path):
    single = csr_matrix(np.eye(3, dtype=np.float32))
    with pytest.raises(BadInputError, match="nothing to train on or to hold out"):
        make_split(single, SplitSettings("last"), tmp_path)


def test_last_takes_the_most_recent_of_each_user_and_unknown_times_come_first():
    times = np.random.default_rng(0).integers(0, 1 << 40, PLAYS.nnz)
    times[::11] = np.iinfo(np.int64).min
    roles = assign_roles(PLAYS.indptr, SplitSettings("last", n_held_out=2), times)
    for start, end in zip(PLAYS.indptr[:-1], PLAYS.indptr[1:], strict=True):
        held_out = roles[start:end] == HELD_OUT
        assert np.count_nonzero(held_out) == (2 if end - start > 2 else 0)
        assert times[start:end][~held_out].max() <= times[start:end][held_out].min(initial=1 << 62)


def test_time_cuts_at_one_moment():
    times = np.random.default_rng(1).integers(0, 50, PLAYS.nnz)
    roles = assign_roles(PLAYS.indptr, SplitSettings("time", 0.3), times)
    assert times[roles == TRAIN].max() < times[roles == HELD_OUT].min()
    assert 0.2 * PLAYS.nnz < np.count_nonzero(roles == HELD_OUT) <= round(0.3 * PLAYS.nnz)


def test_time_needs_times():
    with pytest.raises(BadInputError, match="--events"):
        assign_roles(PLAYS.indptr, SplitSettings("time"))


@pytest.mark.parametrize(("old", "new"), [("leave-k-out", "last"), ("new-listeners", "new-users")])
def test_earlier_names_still_work(old, new):
    assert SplitSettings(old) == SplitSettings(new)

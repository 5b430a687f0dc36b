"""A loop over blocks on threads: each block once, errors at once, no list of what is to do."""

from __future__ import annotations

import threading
import time

import pytest

from lastfm_dask.engine.threads import completed, for_each


@pytest.mark.parametrize("threads", [1, 3])
def test_each_block_is_worked_on_once_and_told_of(threads):
    worked, told = [], []
    for_each(worked.append, iter(range(100)), threads, told.append)
    assert sorted(worked) == sorted(told) == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_the_loop(threads):
    worked = []

    def work(block):
        if block == 5:
            msg = "block 5"
            raise ValueError(msg)
        worked.append(block)

    def endless():
        block = 0
        while True:
            yield block
            block += 1

    with pytest.raises(ValueError, match="block 5"):
        for_each(work, endless(), threads)
    assert set(range(5)) <= set(worked)


def test_blocks_are_taken_when_a_thread_is_free():
    taken, most_ahead, lock = [], [], threading.Lock()
    n_worked = 0

    def blocks():
        for block in range(50):
            taken.append(block)
            yield block

    def work(block):
        nonlocal n_worked
        with lock:
            most_ahead.append(len(taken) - n_worked)
            n_worked += 1

    for_each(work, blocks(), 4)
    assert max(most_ahead) <= 4 + 1


@pytest.mark.parametrize("threads", [1, 4])
def test_results_come_in_order_whichever_is_done_first(threads):
    def work(block):
        time.sleep(0.002 * (block % 3))
        return block * block

    assert list(completed(work, range(20), threads, in_order=True)) == [block**2 for block in range(20)]


@pytest.mark.parametrize("in_order", [False, True])
def test_a_bounded_number_of_results_is_held(in_order):
    threads, n_made, n_taken, most = 3, 0, 0, 0
    lock = threading.Lock()

    def work(block):
        nonlocal n_made, most
        with lock:
            n_made += 1
            most = max(most, n_made - n_taken)
        return block

    for _ in completed(work, iter(range(60)), threads, in_order=in_order):
        n_taken += 1
    assert n_taken == 60
    assert most <= threads + in_order + 1


def test_a_loop_that_is_left_waits_for_what_runs_and_begins_nothing_more():
    begun = []

    def work(block):
        begun.append(block)
        time.sleep(0.01)

    loop = completed(work, range(100), 2)
    next(loop)
    loop.close()
    n_begun = len(begun)
    time.sleep(0.03)
    assert len(begun) == n_begun <= 4

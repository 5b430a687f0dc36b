"""A loop over blocks on threads: each block once, errors at once, no list of what is to do."""

from __future__ import annotations

import threading

import pytest

from lastfm_dask.engine.threads import for_each


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

"""Rows done are counted while a solver works: in order, never too many, and not once it has ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
from making import make_dataset, random_plays

from lastfm_dask import train
from lastfm_dask.errors import Stopped
from lastfm_dask.training import rows_done
from lastfm_dask.training.settings import TrainSettings


@pytest.mark.parametrize("n_rows", [1, 7, 512, 5000])
def test_what_is_reported_is_done(monkeypatch, n_rows):
    monkeypatch.setattr(rows_done, "LOOK_S", 0.001)
    solved, reports, seen = np.zeros((n_rows, 3), np.float32), [], threading.Event()

    def report(done):
        reports.append((done, int(np.count_nonzero(solved[:, 0]))))
        seen.set()

    def solve():
        for end in (n_rows // 3, n_rows // 2, n_rows):
            seen.clear()
            solved[:end] = 1
            # The first of three rows changes nothing where there are fewer than three.
            assert end == 0 or seen.wait(60)

    rows_done.solve_reported(solve, solved, report)
    assert reports[-1][0] == n_rows
    assert all(0 < done <= changed for done, changed in reports)
    assert [done for done, _ in reports] == sorted({done for done, _ in reports})


def test_no_row_done_is_no_report(monkeypatch):
    monkeypatch.setattr(rows_done, "LOOK_S", 0.001)
    reports = []
    for n_rows in (0, 9):
        rows_done.solve_reported(partial(time.sleep, 0.05), np.zeros((n_rows, 2), np.float32), reports.append)
    assert reports == []


def test_what_a_solver_raises_is_raised():
    def solve():
        raise FloatingPointError

    with pytest.raises(FloatingPointError):
        rows_done.solve_reported(solve, np.zeros((9, 2), np.float32), print)


@pytest.mark.parametrize(("error", "waits"), [(Stopped, False), (KeyboardInterrupt, True)])
def test_only_a_signal_that_ends_the_process_does_not_wait_for_the_solver(error, waits):
    may_end, ended = threading.Event(), threading.Event()

    def arrives(*_):
        if waits:
            threading.Timer(0.2, may_end.set).start()
        raise error

    def solve():
        os.kill(os.getpid(), signal.SIGINT)
        may_end.wait(60)
        ended.set()

    before = signal.signal(signal.SIGINT, arrives)
    try:
        with pytest.raises(error):
            rows_done.solve_reported(solve, np.zeros((9, 2), np.float32), print)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.is_set() is waits
    may_end.set()
    assert ended.wait(60)


def test_training_moves_within_an_iteration(monkeypatch, tmp_path):
    monkeypatch.setattr(rows_done, "LOOK_S", 0.0005)
    dataset = make_dataset(tmp_path / "d.dataset", random_plays(6000, 500, 20, seed=1))
    n_rows, steps = dataset.n_users + dataset.n_artists, []
    settings = TrainSettings(factors=64, iterations=2)
    train(dataset, tmp_path / "m", settings, progress=lambda *step: steps.append(step))
    done = [done for stage, done, _ in steps if stage == "fit"]
    assert done == sorted(done)
    assert {0, n_rows, 2 * n_rows} <= set(done)
    assert any(done % n_rows for done in done)

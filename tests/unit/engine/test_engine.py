"""The embedded engine: its window, its independence of order, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import tracemalloc
import weakref

import pytest

from lastfm_dask.engine import EmbeddedEngine, embedded, open_engine
from lastfm_dask.engine.base import task_key
from lastfm_dask.engine.embedded import GRAPH_BLOCKS, GRAPH_TASK_BYTES, graph_bytes
from lastfm_dask.interactions.blocks import cut


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("as_stream", [False, True])
def test_every_block_is_sunk_once_and_the_window_holds(threads, as_stream):
    lock, at_once, most, sunk = threading.Lock(), 0, 0, []

    def task(number):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002)
        return number * number

    def sink(number, result):
        nonlocal at_once
        with lock:
            at_once -= 1
            sunk.append((number, result))

    blocks = range(20)
    EmbeddedEngine(threads).for_each(task, iter(blocks) if as_stream else blocks, sink)
    assert sorted(sunk) == [(n, n * n) for n in blocks]
    assert most <= threads


def test_blocks_that_look_like_dask_keys_or_tasks_are_left_alone():
    blocks = [("block", 1), (len, "abc"), ["block", 0], "x"]
    got = []
    EmbeddedEngine(2).for_each(lambda block: block, blocks, lambda block, result: got.append((block, result)))
    assert sorted(got, key=repr) == sorted(((block, block) for block in blocks), key=repr)


def shown_by_profiler(engine, n_blocks):
    """Return the keys of the tasks that Dask's profiler saw, in the order in which they began."""
    from dask.diagnostics import Profiler

    with Profiler() as profiler:
        engine.for_each(lambda n: n, range(n_blocks), lambda *_: None, key=lambda n: f"log-{n}")
    return [task.key for task in sorted(profiler.results, key=lambda task: task.start_time)]


@pytest.mark.parametrize("threads", [1, 2])
def test_dasks_profiler_sees_each_block_under_its_key_and_in_order(threads):
    keys = [task_key(f"log-{n}") for n in range(25)]
    seen = shown_by_profiler(EmbeddedEngine(threads), 25)
    assert sorted(seen) == sorted(keys)
    if threads == 1:
        assert seen == keys


def test_a_long_run_is_several_graphs_of_bounded_size(monkeypatch):
    from dask.callbacks import Callback

    monkeypatch.setattr(embedded, "GRAPH_BLOCKS", 7)
    graphs, sunk = [], []
    with Callback(start=lambda graph: graphs.append(len(graph))):
        EmbeddedEngine(2).for_each(abs, range(-17, 0), lambda block, result: sunk.append((block, result)))
    assert graphs == [7, 7, 3]
    assert sorted(sunk) == [(-n, n) for n in range(17, 0, -1)]


class Result:
    """A result that can be watched; a list can't."""


@pytest.mark.parametrize("as_stream", [False, True])
def test_no_result_outlives_its_sink(as_stream):
    threads, alive, most = 3, weakref.WeakSet(), 0

    def task(_):
        result = Result()
        alive.add(result)
        return result

    def sink(*_):
        nonlocal most
        most = max(most, len(alive))

    blocks = range(200)
    EmbeddedEngine(threads).for_each(task, iter(blocks) if as_stream else blocks, sink)
    assert most <= threads
    assert not len(alive)


def test_a_graph_takes_the_memory_that_plans_count():
    n_blocks = 500
    blocks = list(cut([n_blocks], 1))
    engine = EmbeddedEngine(1)
    key = ("f" * 32 + "-{0.number}").format
    engine.for_each(lambda _: None, blocks[:1], lambda *_: None, key=key)
    tracemalloc.start()
    try:
        engine.for_each(lambda _: None, blocks, lambda *_: None, key=key)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= graph_bytes(n_blocks)
    assert graph_bytes(10 * GRAPH_BLOCKS) == GRAPH_BLOCKS * GRAPH_TASK_BYTES


def test_the_first_error_ends_the_run_and_nothing_runs_on_behind_it():
    running = 0

    def task(number):
        nonlocal running
        if number == 0:
            raise ZeroDivisionError
        running += 1
        time.sleep(0.05)
        return number

    sunk = []
    with pytest.raises(ZeroDivisionError):
        EmbeddedEngine(2).for_each(task, range(50), lambda number, _: sunk.append(number))
    before = (running, len(sunk))
    time.sleep(0.15)
    assert (running, len(sunk)) == before
    assert running < 49


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_are_begun_in_order_and_drawn_only_when_a_thread_is_free(threads):
    lock, begun, n_drawn, n_done = threading.Lock(), [], 0, 0

    def blocks():
        nonlocal n_drawn
        for number in range(100):
            n_drawn += 1
            assert n_drawn - n_done <= threads
            yield number

    def task(number):
        with lock:
            begun.append(number)
        time.sleep(0.001)

    def sink(number, _):
        nonlocal n_done
        with lock:
            n_done += 1

    EmbeddedEngine(threads).for_each(task, blocks(), sink)
    # A thread may be held up between the iterator and the task.
    assert (begun if threads == 1 else sorted(begun)) == list(range(100))


def test_without_a_scheduler_no_port_is_opened_and_distributed_is_not_imported():
    code = (
        "import sys, socket\n"
        "def no(*a, **k): raise AssertionError('a socket')\n"
        "socket.socket.bind = no\n"
        "from lastfm_dask.engine import open_engine\n"
        "with open_engine(threads=2) as engine:\n"
        "    engine.for_each(abs, [1, -2, 3], lambda block, result: None)\n"
        "assert not engine.on_cluster\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('distributed', 'tornado')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": ""})


def test_an_empty_scheduler_address_in_the_environment_is_none(monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "")
    with open_engine(threads=1) as engine:
        assert isinstance(engine, EmbeddedEngine)

"""The cluster engine against real scheduler and worker processes, with toy tasks."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import pytest
import toy_tasks
from clusters import cluster, until

from lastfm_dask.engine import open_engine
from lastfm_dask.engine.preflight import Preflight
from lastfm_dask.engine.run import WINDOW_PER_THREAD
from lastfm_dask.errors import BadInputError, ClusterError


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two healthy workers that tests may use, but not harm."""
    with cluster(tmp_path_factory.mktemp("cluster")) as it:
        yield it


def squares(engine, task, numbers):
    results = {}
    engine.for_each(task, numbers, results.__setitem__)
    return results


def expected(numbers):
    return {n: b"%d" % (n * n) for n in numbers}


def test_every_block_is_sunk_once_and_the_window_holds(shared):
    n_blocks, handed_out, sunk, most = 40, 0, [], 0

    def blocks():
        nonlocal handed_out
        for number in range(n_blocks):
            handed_out += 1
            yield number

    def sink(number, result):
        nonlocal most
        # The block in hand is not sunk yet.
        most = max(most, handed_out - len(sunk))
        sunk.append((number, result))

    with open_engine(threads=1, scheduler=shared.address) as engine:
        engine.for_each(toy_tasks.Square(), blocks(), sink)
        assert sorted(sunk) == sorted(expected(range(n_blocks)).items())
        assert most <= WINDOW_PER_THREAD * 2
        assert sum(use.n_blocks for use in engine.workers.values()) == n_blocks
        assert all(use.peak_held_bytes > 0 for use in engine.workers.values() if use.n_blocks)


def test_scheduler_file_and_environment_name_the_cluster_too(shared, monkeypatch):
    with open_engine(threads=1, scheduler_file=shared.scheduler_file) as engine:
        assert engine.on_cluster
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", shared.address)
    with open_engine(threads=1) as engine:
        assert squares(engine, toy_tasks.Square(), range(3)) == expected(range(3))


def test_an_error_of_ours_arrives_as_ours_with_its_place_and_is_not_retried(shared):
    with (
        open_engine(threads=1, scheduler=shared.address) as engine,
        pytest.raises(BadInputError, match=r"5 fields.*block 7 of log\.tsv, on worker tcp://") as caught,
    ):
        engine.for_each(
            toy_tasks.refuse_seven, range(9), lambda *_: None, label=lambda n: f"block {n} of log.tsv"
        )
    assert (caught.value.line, caught.value.path) == (3, "log.tsv")


def test_any_other_error_is_a_cluster_error_that_names_the_block(shared):
    with (
        open_engine(threads=1, scheduler=shared.address) as engine,
        pytest.raises(
            ClusterError, match=r"block 7 failed 3 times.*ZeroDivisionError: not foreseen.*resumes"
        ),
    ):
        engine.for_each(toy_tasks.break_on_seven, range(9), lambda *_: None, label=lambda n: f"block {n}")


def test_a_passing_failure_is_retried(shared, tmp_path):
    with open_engine(threads=1, scheduler=shared.address) as engine:
        results = squares(engine, toy_tasks.FailOnce(str(tmp_path)), range(6))
    assert results == {n: n for n in range(6)}


def test_a_read_that_fails_once_is_retried_and_one_that_always_fails_arrives_as_ours(shared, tmp_path):
    with open_engine(threads=1, scheduler=shared.address) as engine:
        assert squares(engine, toy_tasks.FailToRead(str(tmp_path), 1), range(3)) == {n: n for n in range(3)}
        with pytest.raises(
            BadInputError, match=r"log\.tsv can't be read.*\(block [012]; tried 3 times\)"
        ) as caught:
            engine.for_each(
                toy_tasks.FailToRead(str(tmp_path), 99),
                range(3),
                lambda *_: None,
                label=lambda n: f"block {n}",
            )
    assert caught.value.path == "log.tsv"


def test_one_message_lists_everything_that_is_wrong(shared):
    # The limit is 400 MiB a worker, of which Dask lets 80 % be used before it pauses the worker.
    asked = Preflight(check=toy_tasks.Sight(os.getpid()), task_bytes=1 << 30)
    with (
        pytest.raises(ClusterError) as caught,
        open_engine(threads=1, scheduler=shared.address, preflight=asked),
    ):
        pass
    lines = str(caught.value).splitlines()[1:]
    assert sum("sees log.tsv as 11 bytes, here it is 10 bytes" in line for line in lines) == 2
    assert sum("Dask's memory limit" in line and "--block-size" in line for line in lines) == 2
    assert len(lines) == 4


def test_a_worker_that_cannot_see_the_source_is_named(shared):
    asked = Preflight(check=partial(toy_tasks.see_nothing_on_workers, os.getpid()))
    with (
        pytest.raises(ClusterError, match=r"can't see the source: FileNotFoundError.*/data/log\.tsv"),
        open_engine(threads=1, scheduler=shared.address, preflight=asked),
    ):
        pass


def test_other_versions_are_refused(shared, monkeypatch):
    monkeypatch.setattr("lastfm_dask.engine.preflight._version", lambda package: f"other-{package}")
    with pytest.raises(ClusterError) as caught, open_engine(threads=1, scheduler=shared.address):
        pass
    for package in ("lastfm_dask", "dask", "distributed", "pyarrow", "numpy"):
        assert str(caught.value).count(f", here other-{package}\n") + str(caught.value).endswith(
            f"here other-{package}"
        ) == (3 if package in ("dask", "distributed") else 2)


def test_no_scheduler_is_a_cluster_error(tmp_path, monkeypatch):
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        with pytest.raises(ClusterError, match=r"could not connect .* tcp://127\.0\.0\.1:9"):
            open_engine(threads=1, scheduler="tcp://127.0.0.1:9").__enter__()
        with pytest.raises(ClusterError, match="does not exist"):
            open_engine(threads=1, scheduler_file=tmp_path / "none.json").__enter__()
        with pytest.raises(ClusterError, match="could not connect"):
            open_engine(threads=1, scheduler="nonsense://x").__enter__()


def in_thread(action):
    """Run an action beside the test; what it raises comes out where it is joined."""
    outcome = []

    def run():
        try:
            action()
        except BaseException as error:  # noqa: BLE001
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("nanny", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_workers_killed_mid_task_cost_only_repeated_work(tmp_path, nanny):
    begun = tmp_path / "begun"
    begun.mkdir()
    with (
        cluster(tmp_path / "cluster", n_workers=3, nanny=nanny) as it,
        open_engine(threads=1, scheduler=it.address) as engine,
    ):
        results = {}
        task = toy_tasks.Square(0.1, str(begun))
        thread, failures = in_thread(lambda: engine.for_each(task, range(30), results.__setitem__))
        until(lambda: len(list(begun.iterdir())) > 4, "a few tasks")
        victims = {int(path.name.split("-")[1]) for path in begun.iterdir()}
        for pid in sorted(victims)[:2]:
            os.kill(pid, signal.SIGKILL)
        thread.join()
        assert not failures
        assert results == expected(range(30))


def test_a_healthy_block_that_dask_blames_for_its_workers_death_is_run_again(tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    # No death is forgiven: every block that a killed worker held fails at once, for Dask.
    env = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with (
        cluster(tmp_path / "cluster", n_workers=2, env=env) as it,
        open_engine(threads=1, scheduler=it.address) as engine,
    ):
        results = {}
        task = toy_tasks.Square(0.2, str(begun))
        thread, failures = in_thread(lambda: engine.for_each(task, range(12), results.__setitem__))
        until(lambda: len(list(begun.iterdir())) > 3, "a few tasks")
        it.workers[0].kill()
        thread.join()
        assert not failures
        assert results == expected(range(12))


def test_a_late_joiner_gets_work_and_no_worker_at_the_start_is_no_obstacle(tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()

    def blocks():
        """Blocks until two workers had some: a process may take its time to start."""
        for number in range(3000):
            if len({path.name.split("-")[1] for path in begun.iterdir()}) == 2:
                return
            yield number

    with (
        cluster(tmp_path / "cluster", n_workers=0) as it,
        open_engine(threads=1, scheduler=it.address) as engine,
    ):
        results = {}
        task = toy_tasks.Square(0.05, str(begun))
        thread, failures = in_thread(lambda: engine.for_each(task, blocks(), results.__setitem__))
        it.add_worker()
        until(lambda: len(results) > 1, "the first worker's results")
        it.add_worker()
        thread.join()
        assert not failures
        assert results == expected(range(len(results)))
        assert len(results) < 3000
        assert len([use for use in engine.workers.values() if use.n_blocks]) == 2


def test_a_late_joiner_is_checked_before_its_results_are_taken(tmp_path):
    with cluster(tmp_path / "cluster", n_workers=0) as it:
        asked = Preflight(check=toy_tasks.Sight(os.getpid()))
        with open_engine(threads=1, scheduler=it.address, preflight=asked) as engine:
            it.add_worker()
            results = {}
            with pytest.raises(ClusterError, match=r"sees log\.tsv as 11 bytes"):
                engine.for_each(toy_tasks.Square(), range(5), results.__setitem__)
            assert not results


@pytest.mark.slow
def test_a_worker_stopped_past_its_ttl_costs_only_repeated_work(tmp_path):
    env = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "6s"}
    with (
        cluster(tmp_path / "cluster", n_workers=2, env=env) as it,
        open_engine(threads=1, scheduler=it.address, stall_timeout_s=60) as engine,
    ):
        results = {}
        thread, failures = in_thread(
            lambda: engine.for_each(toy_tasks.Square(0.1), range(60), results.__setitem__)
        )
        until(lambda: len(results) > 3, "a few results")
        it.workers[0].send_signal(signal.SIGSTOP)
        thread.join()
        assert not failures
        assert results == expected(range(60))


@pytest.mark.slow
def test_all_workers_gone_ends_after_the_stall_timeout_and_resuming_runs_the_rest(tmp_path):
    with cluster(tmp_path / "cluster", n_workers=2) as it:
        results = {}
        with open_engine(threads=1, scheduler=it.address, stall_timeout_s=2) as engine:
            thread, failures = in_thread(
                lambda: engine.for_each(toy_tasks.Square(0.1), range(40), results.__setitem__)
            )
            until(lambda: len(results) > 3, "a few results")
            for worker in it.workers:
                worker.kill()
            thread.join()
        assert isinstance(failures[0], ClusterError)
        assert "there are no workers" in str(failures[0])
        assert "resumes" in str(failures[0])
        rest = [n for n in range(40) if n not in results]
        assert rest
        it.add_worker()
        with open_engine(threads=1, scheduler=it.address) as engine:
            engine.for_each(toy_tasks.Square(), rest, results.__setitem__)
        assert results == expected(range(40))


@pytest.mark.parametrize("signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_scheduler_that_dies_ends_the_run_promptly(tmp_path, signum):
    with cluster(tmp_path / "cluster", n_workers=1) as it:
        results = {}
        began = None
        with open_engine(threads=1, scheduler=it.address, stall_timeout_s=600) as engine:
            thread, failures = in_thread(
                lambda: engine.for_each(toy_tasks.Square(0.1), range(400), results.__setitem__)
            )
            until(lambda: len(results) > 2, "a few results")
            it.scheduler.send_signal(signum)
            began = time.monotonic()
            thread.join(timeout=60)
        assert not thread.is_alive()
        # Prompt beside the stall timeout of ten minutes.
        assert time.monotonic() - began < 60
        assert isinstance(failures[0], ClusterError)
        assert "lost the Dask scheduler" in str(failures[0])


@pytest.mark.slow
def test_a_scheduler_that_is_stopped_ends_the_run_after_the_stall_timeout(tmp_path):
    with cluster(tmp_path / "cluster", n_workers=1) as it:
        results = {}
        with open_engine(threads=1, scheduler=it.address, stall_timeout_s=3) as engine:
            thread, failures = in_thread(
                lambda: engine.for_each(toy_tasks.Square(0.1), range(400), results.__setitem__)
            )
            until(lambda: len(results) > 2, "a few results")
            it.scheduler.send_signal(signal.SIGSTOP)
            thread.join(timeout=60)
        assert not thread.is_alive()
        assert isinstance(failures[0], ClusterError)


@pytest.mark.slow
def test_a_block_that_kills_its_workers_is_named(tmp_path):
    with (
        cluster(tmp_path / "cluster", n_workers=2, nanny=True) as it,
        open_engine(threads=1, scheduler=it.address, stall_timeout_s=60) as engine,
        pytest.raises(ClusterError, match=r"block 7: every worker that took it died.*memory limit"),
    ):
        engine.for_each(toy_tasks.die_on_seven, range(9), lambda *_: None, label=lambda n: f"block {n}")

"""Dask, in one place: a bounded run of one pure task over blocks, on threads of this process or on a cluster.

Both engines keep one promise: `task` runs on every block, `sink` is called once for each result, in whatever
order results come, and never more than `window` blocks are submitted and not yet sunk. What is built from the
results must not depend on that order. This module knows nothing of what a block is.

A cluster's workers get nothing but the task and its block, and what they give comes to the driver, where the
sink runs. Workers may die, stop and join at any time: that costs repeated work. The driver never waits for ever:
without a finished block for `stall_timeout_s`, or without a scheduler, the run ends with a ClusterError.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lastfm_dask.errors import ClusterError, LastfmDaskError
from lastfm_dask.memory.proc import resident
from lastfm_dask.preflight import Facts, Preflight, facts_here, problems, scheduler_problems

if TYPE_CHECKING:
    from distributed import Client, Future

B = TypeVar("B")
R = TypeVar("R")

STALL_TIMEOUT_S = 300.0
WINDOW_PER_THREAD = 3
_ANSWER_TIMEOUT_S = 30.0
_POLL_S = 1.0
_PATIENCE_S = 5.0
_RETRIES = 2
_LOGGERS = ("distributed", "distributed.client", "distributed.comm", "distributed.core", "tornado", "asyncio")


@dataclass(slots=True)
class WorkerUse:
    """What one worker did in a run."""

    address: str
    """Where it answered; `threads` for this process."""
    n_blocks: int = 0
    """Blocks whose result came from it."""
    peak_held_bytes: int = 0
    """The most anonymous and shared memory that its process held at the end of a block."""


class Engine(Protocol):
    """Runs a task over blocks."""

    on_cluster: bool
    """Whether tasks run in other processes, perhaps on other machines."""

    def for_each(
        self,
        task: Callable[[B], R],
        blocks: Iterable[B],
        sink: Callable[[B, R], None],
        *,
        key: Callable[[B], str] | None = None,
        label: Callable[[B], str] = str,
    ) -> None:
        """Run `task` on every block and hand each result to `sink`; the first error ends the run.

        Parameters
        ----------
        task : callable
            Pure; for a cluster it must pickle, and its result too.
        blocks : iterable
            What the task takes, each on its own.
        sink : callable
            Gets the block and its result, in any order; from several threads on the embedded engine.
        key : callable, optional
            Gives a text that is equal for equal work alone: all that the result depends on, as a fingerprint, and
            the block's number. A cluster runs equal keys once. Without it, it comes from the task and the block.
        label : callable
            Names a block for people, as "block 17 of FILE".
        """


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """Dask's threaded scheduler in this process. Opens no port; the sink runs in the task's thread.

    Parameters
    ----------
    threads : int
        How many blocks are worked on at once; also the window.
    """

    threads: int
    on_cluster: bool = False

    def for_each(
        self,
        task: Callable[[B], R],
        blocks: Iterable[B],
        sink: Callable[[B, R], None],
        *,
        key: Callable[[B], str] | None = None,  # noqa: ARG002 - nothing is shared with another run here
        label: Callable[[B], str] = str,  # noqa: ARG002 - errors come as they are raised
    ) -> None:
        """Run `task` and `sink` on every block, `threads` at a time; no task runs on after it has returned.

        Blocks that come from an iterator (a stream that can't be held) are taken in waves of `threads`.
        """

        def work(block: B) -> None:
            sink(block, task(block))

        if isinstance(blocks, Sequence):
            self._wave(work, blocks)
        else:
            stream = iter(blocks)
            while wave := list(islice(stream, self.threads)):
                self._wave(work, wave)

    def _wave(self, work: Callable[[B], None], blocks: Sequence[B]) -> None:
        if self.threads == 1 or len(blocks) <= 1:
            for block in blocks:
                work(block)
            return
        from dask.threaded import get

        # The graph holds numbers, not blocks: Dask would look into a block that is a tuple or a list for keys.
        graph = {("block", i): (lambda number: work(blocks[number]), i) for i in range(len(blocks))}
        # A pool of our own is waited for: after an error no task may still write to a place that is cleared away.
        with ThreadPoolExecutor(self.threads) as pool:
            get(graph, list(graph), pool=pool)


@dataclass(slots=True)
class ClusterEngine:
    """A Dask cluster, through a client that somebody else closes.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    stall_timeout_s : float
        How long to wait without a finished block.
    preflight : Preflight
        What is asked of every worker, before its first result is taken.
    workers : dict
        By address, what each worker did; filled by the run.
    """

    client: Client
    stall_timeout_s: float = STALL_TIMEOUT_S
    preflight: Preflight = field(default_factory=Preflight)
    workers: dict[str, WorkerUse] = field(default_factory=dict)
    on_cluster: bool = True

    def check(self) -> None:
        """Hold the scheduler and all workers of this moment against `preflight`.

        Raises
        ------
        ClusterError
            With all that is wrong in one message. No work was done.
        """
        from distributed.versions import get_versions

        ours = facts_here(self.preflight.check)
        theirs = self.ask(lambda: self.client.run_on_scheduler(get_versions), "the scheduler")
        python = ".".join(str(dict(theirs["host"])["python"]).split(".")[:2])
        versions = {**theirs["packages"], "python": python}
        _refuse(scheduler_problems(ours.versions, versions) + self._admit(ours, None))

    def admit(self, address: str) -> bool:
        """Hold a worker that came later against `preflight`; False if it is gone already.

        Raises
        ------
        ClusterError
            With all that is wrong with it.
        """
        if address not in self.workers:
            _refuse(self._admit(facts_here(self.preflight.check), [address]))
        return address in self.workers

    def _admit(self, ours: Facts, addresses: list[str] | None) -> list[str]:
        """Ask workers (None: all) for their facts and note those that gave them; return what is wrong with any."""
        answers = self.ask(
            lambda: self.client.run(_facts, self.preflight.check, workers=addresses, on_error="return"),
            "the workers",
        )
        # A worker that went away while it was asked is no obstacle: its blocks go to others.
        there = {
            address: answer for address, answer in sorted(answers.items()) if not isinstance(answer, OSError)
        }
        facts = {
            address: answer if isinstance(answer, Facts) else _why_no_facts(answer)
            for address, answer in there.items()
        }
        for address in facts:
            self.workers.setdefault(address, WorkerUse(address))
        return problems(ours, facts, self.preflight.task_bytes)

    def ask(self, question: Callable[[], Any], whom: str, timeout_s: float = _ANSWER_TIMEOUT_S) -> Any:
        """Return the answer to a call of the client; it has no time limit of its own."""
        answer: SimpleQueue[tuple[bool, Any]] = SimpleQueue()

        def call() -> None:
            try:
                answer.put((True, question()))
            except Exception as error:  # noqa: BLE001 - carried over to the thread that asks
                answer.put((False, error))

        Thread(target=call, daemon=True).start()
        try:
            good, value = answer.get(timeout=timeout_s)
        except Empty:
            good, value = False, TimeoutError(f"no answer within {timeout_s:g} s")
        if good:
            return value
        msg = (
            f"could not ask {whom} of the Dask cluster at {_address(self.client)}: {type(value).__name__}: {value}. "
            "See that they run and answer, then call again: it resumes"
        )
        raise ClusterError(msg) from value

    def for_each(
        self,
        task: Callable[[B], R],
        blocks: Iterable[B],
        sink: Callable[[B, R], None],
        *,
        key: Callable[[B], str] | None = None,
        label: Callable[[B], str] = str,
    ) -> None:
        """Run `task` on every block on the workers and `sink` here, in this thread.

        Raises
        ------
        ClusterError
            The scheduler is gone, nothing was finished for `stall_timeout_s`, or a block failed or killed its
            workers too often. What has been sunk stays sunk.
        LastfmDaskError
            What the task raised of ours, with the block named.
        """
        _ClusterRun(self, task, sink, key or _token_of(task), label).over(iter(blocks))


@dataclass(slots=True)
class _ClusterRun:
    """One `for_each` on a cluster, and what is under way in it."""

    engine: ClusterEngine
    task: Callable[[Any], Any]
    sink: Callable[[Any, Any], None]
    key: Callable[[Any], str]
    label: Callable[[Any], str]
    under_way: dict[Future, Any] = field(default_factory=dict)
    done: SimpleQueue[Future] = field(default_factory=SimpleQueue)
    n_sunk: int = 0
    window: int = 0
    progress_at: float = field(default_factory=monotonic)
    window_at: float = float("-inf")

    def over(self, blocks: Iterator[Any]) -> None:
        try:
            more = self._fill(blocks)
            while self.under_way or more:
                future = self._next()
                if future is not None:
                    self._take(future)
                more = self._fill(blocks)
        finally:
            # Dropping the last reference tells the scheduler to forget them.
            self.under_way.clear()

    def _fill(self, blocks: Iterator[Any]) -> bool:
        """Submit up to the window; return whether there may be more blocks."""
        self._resize()
        while len(self.under_way) < self.window:
            block = next(blocks, self)
            if block is self:
                return False
            self._submit(block)
        return True

    def _resize(self) -> None:
        """Fit the window to the workers of this moment, once a second."""
        if monotonic() - self.window_at < _POLL_S:
            return
        client = self.engine.client
        # A scheduler that is late with this answer is not lost yet: keep the window, the stall timeout watches.
        with suppress(ClusterError):
            n_threads = sum(self.engine.ask(client.nthreads, "the scheduler", _PATIENCE_S).values())
            # Without a worker there is work in sight all the same, which is what an adaptive cluster grows for.
            self.window = WINDOW_PER_THREAD * n_threads
        self.window = max(2, self.window)
        self.window_at = monotonic()

    def _submit(self, block: Any) -> None:
        future = self.engine.client.submit(
            _run, self.task, block, key=f"lastfm_dask-{self.key(block)}", pure=True, retries=_RETRIES
        )
        self.under_way[future] = block
        future.add_done_callback(self.done.put)

    def _next(self) -> Future | None:
        """Wait a little for a finished block; see to it that waiting has an end."""
        with suppress(Empty):
            return self.done.get(timeout=_POLL_S)
        if self.engine.client.status != "running":
            raise self._gone()
        if monotonic() - self.progress_at > self.engine.stall_timeout_s:
            raise self._stalled()
        return None

    def _take(self, future: Future) -> None:
        """Gather one result, see that its worker was checked, sink it, and let go of it."""
        block = self.under_way[future]
        if future.status in ("cancelled", "lost"):
            raise self._gone()
        left_s = self.progress_at + self.engine.stall_timeout_s - monotonic()
        try:
            result, error, address, held_bytes = future.result(timeout=max(left_s, _POLL_S))
        except Exception as failure:
            if future.status == "error":
                raise self._failed(block, failure) from failure
            # The block is done, but its result can't be had.
            raise (self._stalled() if isinstance(failure, TimeoutError) else self._gone()) from failure
        del self.under_way[future]
        if error is not None:
            raise _with_place(error, self.label(block), address)
        if not self.engine.admit(address):
            self._submit(block)
            return
        self.sink(block, result)
        use = self.engine.workers[address]
        use.n_blocks += 1
        use.peak_held_bytes = max(use.peak_held_bytes, held_bytes)
        self.n_sunk += 1
        self.progress_at = monotonic()

    def _state(self) -> str:
        return f"{self.n_sunk} blocks were finished in this run and are kept; call again and it resumes"

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"lost the Dask scheduler at {_address(self.engine.client)} with {len(self.under_way)} blocks under way. "
            f"{self._state()}, once the scheduler is back"
        )

    def _stalled(self) -> ClusterError:
        after = f"no block was finished for {self.engine.stall_timeout_s:g} s"
        waiting = ", ".join(sorted(self.label(block) for block in self.under_way.values())[:3])
        try:
            processing = self.engine.ask(self.engine.client.processing, "the scheduler", _PATIENCE_S)
        except ClusterError as error:
            why = f"and the scheduler does not answer ({error})"
        else:
            holds = ", ".join(
                f"{address} ({len(keys)} under way)" for address, keys in sorted(processing.items())[:5]
            )
            why = (
                f"though {len(processing)} workers are connected: {holds}"
                if processing
                else "there are no workers"
            )
        return ClusterError(
            f"{after}: {why}. Waited for {waiting}. {self._state()}. If blocks do take that long, raise --stall-timeout"
        )

    def _failed(self, block: Any, failure: Exception) -> ClusterError:
        from distributed import KilledWorker

        label = self.label(block)
        if isinstance(failure, KilledWorker):
            what = (
                f"{label}: every worker that took it died, the last was {failure.last_worker.address}. Likeliest is "
                "its memory limit: raise it, or use a smaller --block-size or fewer threads a worker"
            )
        else:
            what = f"{label} failed {_RETRIES + 1} times on the cluster: {type(failure).__name__}: {failure}"
        return ClusterError(f"{what}. {self._state()}", path=label)


def _run(task: Callable[[B], R], block: B) -> tuple[R | None, LastfmDaskError | None, str, int]:
    """Run on a worker: the result, or an error of ours, which would only be raised again by a retry."""
    from distributed import get_worker

    result: R | None = None
    ours: LastfmDaskError | None = None
    try:
        result = task(block)
    except LastfmDaskError as error:
        ours = error
    return result, ours, get_worker().address, resident().held


def _facts(check: Callable[[], Any] | None, dask_worker: Any = None) -> Facts:
    """Run on a worker, outside of its tasks; Dask gives `dask_worker`."""
    return facts_here(check, dask_worker.state.nthreads, dask_worker.memory_manager.memory_limit or None)


def _why_no_facts(answer: object) -> str:
    if isinstance(answer, ModuleNotFoundError):
        return f"this package, or what it needs, is not installed there ({answer})"
    return f"gave no answer ({type(answer).__name__}: {answer})"


def _token_of(task: Callable[[Any], Any]) -> Callable[[Any], str]:
    from dask.base import tokenize

    return partial(tokenize, task)


def _with_place(error: LastfmDaskError, label: str, address: str) -> LastfmDaskError:
    error.message = f"{error.message} ({label}, on worker {address})"
    return error


def _refuse(found: list[str]) -> None:
    if found:
        msg = "the Dask cluster can't do this work:\n" + "\n".join(f"  - {line}" for line in found)
        raise ClusterError(msg)


def _address(client: Client) -> str:
    return str(getattr(client.scheduler, "address", "") or "an unknown address")


@contextmanager
def open_engine(
    *,
    threads: int,
    scheduler: str | None = None,
    scheduler_file: str | Path | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    preflight: Preflight | None = None,
) -> Iterator[EmbeddedEngine | ClusterEngine]:
    """Give the engine that these settings name, ready for work: the embedded one unless a scheduler is given.

    Parameters
    ----------
    threads : int
        For the embedded engine.
    scheduler, scheduler_file : str or path, optional
        Where the scheduler is; `DASK_SCHEDULER_ADDRESS` stands for the first where neither is given. TLS comes
        from Dask's own configuration.
    stall_timeout_s : float
        How long to wait on a cluster without a finished block.
    preflight : Preflight, optional
        What is asked of a cluster before any work.

    Raises
    ------
    ClusterError
        The scheduler can't be reached, or `preflight` fails.
    """
    address = scheduler or (None if scheduler_file else os.environ.get("DASK_SCHEDULER_ADDRESS")) or None
    if address is None and scheduler_file is None:
        yield EmbeddedEngine(threads)
        return
    with _connected(address, scheduler_file) as client:
        engine = ClusterEngine(client, stall_timeout_s, preflight or Preflight())
        engine.check()
        yield engine


@contextmanager
def _connected(address: str | None, scheduler_file: str | Path | None) -> Iterator[Client]:
    """Connect, quietly, and close within a bounded time, whatever state the cluster is in."""
    where = address or f"the one that {scheduler_file} names"
    if address is None and not Path(str(scheduler_file)).is_file():
        msg = f"the scheduler file {scheduler_file} does not exist: start `dask scheduler --scheduler-file` first"
        raise ClusterError(msg, path=str(scheduler_file))
    with _quiet(), warnings.catch_warnings():
        # Dask's warning about versions is our preflight's business, which knows the workers too.
        warnings.simplefilter("ignore")
        from distributed import Client

        target: dict[str, Any] = {"address": address} if address else {"scheduler_file": str(scheduler_file)}
        try:
            client = Client(**target, set_as_default=False, name="lastfm_dask")
        except Exception as error:
            msg = (
                f"could not connect to the Dask scheduler at {where}: {type(error).__name__}: {error}. Check that it "
                "runs, that it can be reached from here, and that both sides agree on TLS (address tls:// and "
                "distributed.comm.tls in Dask's configuration)"
            )
            raise ClusterError(msg) from error
        try:
            yield client
        finally:
            with suppress(Exception):
                client.close(timeout=_PATIENCE_S)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log lines off stderr: what matters of them is in our errors."""
    import distributed.client  # noqa: F401 - its import sets the levels that are set aside here

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

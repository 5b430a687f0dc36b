"""Dask, in one place: a bounded run of one pure task over blocks, on threads of this process or on a cluster.

Both engines keep one promise: `task` runs on every block, `sink` is called once for each result, in whatever
order results come, and never more than `window` blocks are submitted and not yet sunk. What is built from the
results must not depend on that order. This module knows nothing of what a block is.

The embedded engine is here; the one on a cluster is `cluster`, imported only where a scheduler is given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from lastfm_dask.engine.preflight import Preflight

if TYPE_CHECKING:
    from pathlib import Path

B = TypeVar("B")
R = TypeVar("R")

STALL_TIMEOUT_S = 600.0
"""Twice the time after which Dask's scheduler by default gives a silent worker up: it looks once in that time."""

_WAVE = 64


@dataclass(slots=True)
class WorkerUse:
    """What one worker of a cluster did in a run."""

    address: str
    """Where it answered."""
    projected_bytes: int = 0
    """What its process was to hold at most, by the plan."""
    n_blocks: int = 0
    """Blocks whose result came from it."""
    peak_held_bytes: int = 0
    """The most anonymous and shared memory that its process held at the end of a block."""


class Engine(Protocol):
    """Runs a task over blocks."""

    @property
    def on_cluster(self) -> bool:
        """Whether tasks run in other processes, perhaps on other machines."""

    @property
    def workers(self) -> dict[str, WorkerUse]:
        """By address, what each worker of a cluster did so far; empty on the embedded engine."""

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
            What the task takes, each on its own; they are begun in this order.
        sink : callable
            Gets the block and its result, in any order; from several threads on the embedded engine.
        key : callable, optional
            Gives a text that is equal for equal work alone: all that the result depends on, as a fingerprint, and
            the block's number. A cluster runs equal keys once. Without it, it comes from the task and the block.
        label : callable
            Names a block for people, as "block 17 of FILE".
        """


def import_embedded() -> None:
    """Import what the embedded engine runs on, so that it counts as reserved before anything is planned."""
    import dask.threaded  # noqa: F401


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """Dask's threaded scheduler in this process. Opens no port; the sink runs in the task's thread.

    Parameters
    ----------
    threads : int
        How many blocks are worked on at once; also the window.
    """

    threads: int
    on_cluster: bool = field(default=False, init=False)
    workers: dict[str, WorkerUse] = field(default_factory=dict, init=False)

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

        A block is drawn when a thread is free for it, so blocks may come from a stream that can't be held.
        """
        drawn = _Drawn(iter(blocks))

        def work(_: int) -> None:
            for block in drawn.one():
                sink(block, task(block))

        if self.threads == 1:
            while not drawn.exhausted:
                work(0)
            return
        from dask.threaded import get

        n_tasks = max(1, len(blocks)) if isinstance(blocks, Sequence) else _WAVE
        # A pool of our own is waited for: after an error no task may still write to a place that is cleared away.
        with ThreadPoolExecutor(self.threads) as pool:
            while not drawn.exhausted:
                # The graph holds numbers, not blocks: Dask would look into a block that is a tuple for keys, and
                # it runs tasks in an order of its own.
                graph = {("lastfm_dask", i): (work, i) for i in range(n_tasks)}
                get(graph, list(graph), pool=pool)


class _Drawn(Generic[B]):
    """Blocks that several threads draw from one iterator."""

    def __init__(self, blocks: Iterator[B]) -> None:
        self._blocks = blocks
        self._lock = Lock()
        self.exhausted = False

    def one(self) -> list[B]:
        """Return the next block, alone; empty where there is none any more."""
        with self._lock:
            for block in self._blocks:
                return [block]
            self.exhausted = True
            return []


@contextmanager
def open_engine(
    *,
    threads: int,
    scheduler: str | None = None,
    scheduler_file: str | Path | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    preflight: Preflight | None = None,
) -> Iterator[Engine]:
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
    from lastfm_dask.engine.cluster import ClusterEngine, connected

    with connected(address, scheduler_file) as client:
        engine = ClusterEngine(client, stall_timeout_s, preflight or Preflight())
        engine.check()
        yield engine

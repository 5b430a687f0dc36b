"""What both engines share: the promise of a run over blocks, and how its tasks are named in Dask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

B = TypeVar("B")
R = TypeVar("R")

STALL_TIMEOUT_S = 600.0
"""Twice the time after which Dask's scheduler gives up a silent worker by default: it checks once in that time."""


def task_key(key: str) -> str:
    """Return a block's key in Dask's graphs; Dask's diagnostics and dashboard group tasks by the part before `-`."""
    return f"lastfm_dask-{key}"


@dataclass(slots=True)
class WorkerUse:
    """What one worker of a cluster did in a run."""

    address: str
    """Where it answered."""
    projected_bytes: int = 0
    """The most that the plan lets its process hold."""
    n_blocks: int = 0
    """Blocks whose result came from it."""
    peak_held_bytes: int = 0
    """The most anonymous and shared memory that its process held at the end of a block."""


class Engine(Protocol):
    """Runs a task over blocks.

    `task` runs on every block, `sink` is called once for each result, in whatever order results come, and never more
    than a bounded number of blocks are submitted and not yet sunk. What is built from the results must not depend on
    that order.
    """

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
            Gives a text that is equal only for equal work: all that the result depends on, as a fingerprint, and
            the block's number. A cluster runs equal keys once. Without it, it comes from the task and the block.
        label : callable
            Names a block for people, as "block 17 of FILE".
        """

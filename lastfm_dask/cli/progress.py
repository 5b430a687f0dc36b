"""The plan and the progress of a command, on stderr; without a terminal, only the plan."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lastfm_dask import progress
from lastfm_dask.cli.output import echo, echo_words
from lastfm_dask.memory.budget import Plan, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastfm_dask.memory.budget import Steps


class _Shown(Progress):
    """Prints the plan before any work, then each step."""

    def __init__(self, show: Steps) -> None:
        self._show = show

    def planned(self, plan: Plan[Any], resumed_blocks: int = 0) -> None:
        for line in plan.lines():
            echo_words(line, err=True, indent=10)
        if resumed_blocks:
            echo(f"resuming  {resumed_blocks} blocks from an earlier run", err=True)

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        self._show(stage, done, total)


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Give a `Progress` that prints the plan and, on a terminal, draws bars."""
    with progress.shown() as show:
        yield _Shown(show)

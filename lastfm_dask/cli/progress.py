"""Progress on stderr for a person who waits; silent where stderr is no terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _silent(what: str, done: int, total: int) -> None:
    pass


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that is told what is being done, how much of it is done, and of how much.

    One line for each thing that is done, in the order in which they begin.
    """
    if not sys.stderr.isatty():
        yield _silent
        return
    from lastfm_dask.memory import allocator

    # The thread that draws must not get an arena of its own, in which others would then allocate too.
    allocator.begin()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield tell

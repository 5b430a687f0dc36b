"""Progress on stderr for a person who waits; silent where stderr is not a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lastfm_dask import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function to call with the stage, how much of it is done, and how much there is."""
    from lastfm_dask.memory import allocator

    # The thread that draws must not get an arena of its own, in which others would then allocate too.
    allocator.begin()
    with progress.shown() as tell:
        yield tell

"""How a fit goes, apart from what is fitted: its folder, its threads, and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.dataset.matrix import RANGE_NNZ
from lastfm_dask.engine.threads import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def _silent(done: int, total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class FitRun:
    """Where a fit keeps its files, and how much it does at once; the result depends on neither."""

    folder: Path
    """Empty; it must stand as long as the result is used."""
    threads: int = 1
    range_nnz: int = RANGE_NNZ
    """Stored values that a transpose holds at once."""
    progress: Callable[[int, int], None] = _silent
    """Called with how much is done, and how much there is."""

    def over_artists(
        self, work: Callable[[tuple[int, int]], None], blocks: Iterable[tuple[int, int]], n_artists: int
    ) -> None:
        """Run `work` on ranges of artists, some at once, and report how many artists are done."""
        n_done = 0

        def on_done(block: tuple[int, int]) -> None:
            nonlocal n_done
            n_done += block[1] - block[0]
            self.progress(n_done, n_artists)

        for_each(work, blocks, self.threads, on_done)

"""How far implicit's solver is within an iteration. It reports nothing itself, so the rows that it changed are counted."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

LOOK_S = 0.5
_SAMPLED_ROWS = 512


@contextmanager
def reported(solved: npt.NDArray[np.float32], report: Callable[[int], None]) -> Iterator[None]:
    """Report, while a solver goes through the rows of an array in order, how many it has done.

    Parameters
    ----------
    solved : float32, shape (n, factors)
        What the solver changes. One value of up to 512 rows is compared with what it was, so the number is low by up
        to n / 512 rows, and by rows that do not change.
    report : callable
        Called from another thread with the rows done, each time there are more, and not after the block ended.
    """
    rows = np.linspace(0, len(solved) - 1, min(_SAMPLED_ROWS, len(solved)), dtype=np.int64)
    before, over = solved[rows, 0], threading.Event()

    def look() -> None:
        last = 0
        while not over.wait(LOOK_S):
            changed = np.flatnonzero(solved[rows, 0] != before)
            done = int(rows[changed[-1]]) + 1 if len(changed) else 0
            if done > last:
                last = done
                report(done)

    thread = threading.Thread(target=look, name="rows done", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

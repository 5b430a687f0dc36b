"""A solver run so that signals and progress do not wait for it: implicit's reports nothing until all rows are done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

LOOK_S = 0.5
_SAMPLED_ROWS = 512


def solve_reported(
    solve: Callable[[], None], solved: npt.NDArray[np.float32], report: Callable[[int], None]
) -> None:
    """Run a solver that goes through the rows of an array in order, and report how many it has done.

    It runs on a thread of its own, and this one waits. Where a signal ends the process the wait ends at once; after any
    other exception, such as KeyboardInterrupt in a notebook, the solver's rows are done first, since it changes files
    that the next training may take over.

    Parameters
    ----------
    solve : callable
        The solver; what it raises is raised here.
    solved : float32, shape (n, factors)
        What the solver changes. One value of up to 512 rows is compared with what it was, so the number is low by up
        to n / 512 rows, and by rows that do not change.
    report : callable
        Called with the rows done, each time there are more.
    """
    rows = np.linspace(0, len(solved) - 1, min(_SAMPLED_ROWS, len(solved)), dtype=np.int64)
    before, last = solved[rows, 0], 0
    failed: list[BaseException] = []

    def run() -> None:
        try:
            solve()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, name="solver", daemon=True)
    try:
        thread.start()
        while True:
            thread.join(LOOK_S)
            if not thread.is_alive():
                break
            changed = np.flatnonzero(solved[rows, 0] != before)
            done = int(rows[changed[-1]]) + 1 if len(changed) else 0
            if done > last:
                last = done
                report(done)
    except Stopped:
        raise
    except BaseException:
        if thread.is_alive():
            thread.join()
        raise
    if failed:
        raise failed[0]

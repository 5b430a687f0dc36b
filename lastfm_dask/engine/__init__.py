"""Dask, in one place: a bounded run of one pure task over blocks, on threads of this process or on a cluster.

`base` has what both engines promise; `embedded` runs on threads, `cluster` on a scheduler's workers and is imported
only where one is given; `threads` is the one bounded loop for work that is not a run over blocks of the source. None
of them depends on what a block is.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lastfm_dask.engine.base import STALL_TIMEOUT_S, Engine
from lastfm_dask.engine.embedded import EmbeddedEngine
from lastfm_dask.engine.preflight import Preflight

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["STALL_TIMEOUT_S", "EmbeddedEngine", "Engine", "open_engine"]


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

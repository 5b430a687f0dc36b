"""What runs on a worker of a cluster: a block's task, and the facts that decide whether the worker may take part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lastfm_dask.engine.preflight import DASK_LIMIT, PAUSE_SHARE, Facts, facts_here
from lastfm_dask.errors import LastfmDaskError
from lastfm_dask.memory import allocator
from lastfm_dask.memory.limits import allowed_memory
from lastfm_dask.memory.proc import resident

Check = Callable[[], Mapping[str, str]]

_MOST_RUNS = 8
_facts_by_run: dict[str, Facts] = {}


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's answer: a result or one of our errors, and the worker's address."""

    result: Any
    error: LastfmDaskError | None
    address: str
    facts: Facts
    held_bytes: int
    """Anonymous and shared memory of the worker's process at the end of the block."""


def run_block(task: Callable[[Any], Any], block: Any, run_id: str, check: Check | None) -> Answer:
    """Run one block's task on this worker.

    An error of ours comes back as a value, since a retry would only raise it again; unless a read failed, which
    another try, here or elsewhere, may mend.
    """
    from distributed import get_worker

    worker = get_worker()
    facts = facts_of(run_id, check, worker)
    result: Any = None
    ours: LastfmDaskError | None = None
    try:
        result = task(block)
    except LastfmDaskError as error:
        if isinstance(error.__cause__, OSError):
            raise
        ours = error
    return Answer(result, ours, worker.address, facts, resident().held)


def facts_of(run_id: str, check: Check | None, dask_worker: Any = None) -> Facts:
    """Return this worker's facts, gathered once for each run; called by `Client.run`, Dask gives `dask_worker`."""
    if run_id not in _facts_by_run:
        while len(_facts_by_run) >= _MOST_RUNS:
            _facts_by_run.pop(next(iter(_facts_by_run)), None)
        # What an earlier run's blocks left with the allocator would count as held.
        allocator.release()
        limit = dask_worker.memory_manager.memory_limit
        usable = {DASK_LIMIT: int(limit * PAUSE_SHARE)} if limit else {}
        allowed = allowed_memory()
        usable[allowed.source] = allowed.bytes
        _facts_by_run[run_id] = facts_here(check, dask_worker.state.nthreads, usable)
    return _facts_by_run[run_id]

"""What must be equal, or large enough, on every worker of a cluster before any work: facts, and their comparison.

Pure, except `facts_here`, which reads this process. Does not depend on Dask: the engine runs `facts_here` on
the workers and passes the results to `problems`.
"""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from lastfm_dask.memory.proc import resident
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PACKAGES = ("lastfm_dask", "dask", "distributed", "pyarrow", "numpy")
SCHEDULER_PACKAGES = ("python", "dask", "distributed")
# Dask pauses a worker at this share of its limit, and a paused worker may never resume.
PAUSE_SHARE = 0.8
DASK_LIMIT = "Dask's memory limit"
WORKER_BYTES = 48 << 20
"""What a worker holds at most beside its tasks once it is warm: results that wait to be fetched, their copies on the
way, and what the allocator keeps. Measured: 27 to 40 MiB, in blocks of 4 to 16 MiB."""
_LIBRARIES = ("numpy", "pyarrow.csv", "pyarrow.compute", "pyarrow.ipc")


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the caller asks of every worker.

    Parameters
    ----------
    check : callable, optional
        Returns what a process sees of the source, `{path: size and time, or etag, in words}`. It runs here and on
        every worker, so it must pickle, and what comes back must be equal.
    task_bytes : int
        Projected bytes that one running task needs beyond what the process holds before.
    """

    check: Callable[[], Mapping[str, str]] | None = None
    task_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What one process says about itself.

    Parameters
    ----------
    versions : dict
        Of Python (major.minor: the Unicode tables and the pickles go by that) and of `PACKAGES`.
    saw : dict
        What `Preflight.check` returned; empty without one.
    failure : str
        Why `saw` could not be had; empty if it could.
    held_bytes : int
        Memory that the process holds now, the libraries that a task needs loaded, and the kernel can't take back.
    n_threads : int
        Tasks that it runs at once.
    usable : dict
        By source, how many bytes the process may hold; empty for no limit.
    """

    versions: Mapping[str, str]
    saw: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    held_bytes: int = 0
    n_threads: int = 1
    usable: Mapping[str, int] = field(default_factory=dict)


def facts_here(
    check: Callable[[], Mapping[str, str]] | None, n_threads: int = 1, usable: Mapping[str, int] | None = None
) -> Facts:
    """Return this process's facts. Never raises: a source that can't be seen is a fact as well."""
    saw: Mapping[str, str] = {}
    failure = ""
    for library in _LIBRARIES:
        with suppress(ImportError):
            import_module(library)
    with suppress(ImportError):
        # Arrow imports pandas, where it is installed, with the first array that it makes.
        import_module("pyarrow").array([0])
    if check is not None:
        try:
            saw = check()
        except Exception as error:  # noqa: BLE001 - every reason why a worker can't see the source belongs in the list
            failure = f"{type(error).__name__}: {error}"
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        versions[package] = _version(package)
    return Facts(versions, saw, failure, resident().held, n_threads, usable or {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def problems(ours: Facts, workers: Mapping[str, Facts | str], task_bytes: int) -> list[str]:
    """Return what is wrong with the workers, one line for each thing; empty if nothing is.

    Parameters
    ----------
    ours : Facts
        The driver's.
    workers : mapping of str to Facts or str
        By address; a text says why a worker gave no facts.
    task_bytes : int
        Projected bytes of one running task.
    """
    found: list[str] = []
    for address, theirs in workers.items():
        if isinstance(theirs, str):
            found.append(f"worker {address}: {theirs}")
            continue
        found += [f"worker {address}: {line}" for line in _versions(ours.versions, theirs.versions)]
        found += [f"worker {address}: {line}" for line in _sights(ours, theirs)]
        found += [f"worker {address}: {line}" for line in _memory(theirs, task_bytes)]
    return found


def _versions(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return [
        f"{name} {theirs.get(name, 'none')}, here {ours[name]}"
        for name in ours
        if theirs.get(name) != ours[name]
    ]


def scheduler_problems(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return which versions of the scheduler differ from ours; it needs no pyarrow and not this package."""
    wanted = {name: ours[name] for name in SCHEDULER_PACKAGES}
    return [f"scheduler: {line}" for line in _versions(wanted, theirs)]


def _sights(ours: Facts, theirs: Facts) -> list[str]:
    if theirs.failure:
        return [f"can't see the source: {theirs.failure}"]
    return [
        f"sees {path} as {theirs.saw.get(path, 'nothing')}, here it is {seen}"
        for path, seen in ours.saw.items()
        if theirs.saw.get(path) != seen
    ]


def projected_bytes(worker: Facts, task_bytes: int) -> int:
    """Return the projected bytes of a worker at work: what it holds now, its threads' tasks, and what goes along."""
    return worker.held_bytes + worker.n_threads * task_bytes + (WORKER_BYTES if task_bytes else 0)


def _memory(theirs: Facts, task_bytes: int) -> list[str]:
    needed = projected_bytes(theirs, task_bytes)
    found = []
    for source, usable in theirs.usable.items():
        if needed > usable:
            share = f" ({PAUSE_SHARE:.0%} of it may be used)" if source == DASK_LIMIT else ""
            smallest = int(needed / PAUSE_SHARE) + 1 if source == DASK_LIMIT else needed
            found.append(
                f"{source}{share} leaves {format_size(usable)}; projected {format_size(needed)} "
                f"({format_size(theirs.held_bytes)} held now + {theirs.n_threads} x {format_size(task_bytes)} a "
                f"task + {format_size(WORKER_BYTES)} for results under way); smallest limit that would do: {format_size(smallest)}. Raise it, or use a smaller "
                "--block-size or fewer threads a worker"
            )
    return found

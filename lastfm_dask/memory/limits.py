"""What this process may use: `allowed` memory and CPUs, each with the source of the number.

Reads the machine (`proc`), the control groups (`cgroups`) and the caller's options (`--memory`,
`--threads`). Changes nothing, except in `limit_native_threads`. What a stage needs is in each folder's `plan`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.memory.cgroups import NO_LIMIT, Group, groups
from lastfm_dask.memory.proc import SYSTEM_ROOT, fields_of, machine, read_text, resident
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT_FILES = {1: ("memory.limit_in_bytes",), 2: ("memory.max", "memory.high")}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_COUNTERS_LAG_BYTES = 1 << 20
"""A group's count and its only process's own may differ by this much: the kernel adds up in batches."""


ADDRESS_SPACE = "ulimit -v (RLIMIT_AS)"
_THREAD_ADDRESSES_BYTES = 48 << 20
"""Addresses that a thread takes when it starts to compute: its stack and BLAS's buffer, hardly any of it in memory."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound on this process's memory, and where it was found."""

    bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What this process may use: the smallest of the bounds that were found."""

    bytes: int
    source: str
    candidates: tuple[Limit, ...]
    """Every bound, in the order in which they were looked for."""

    @property
    def in_group(self) -> bool:
        """Whether a control group sets the bound, which is charged with more than this process holds."""
        return "memory." in self.source


def allowed_memory(memory_bytes: int | None = None, *, root: Path = SYSTEM_ROOT) -> Allowed:
    """Return how many bytes of anonymous and shared memory this process may hold.

    The smallest of `--memory`, each limit of a control group from the process's own group up to the root
    (less what other processes in that group hold), and what the machine has available (and what this process
    holds already). Where two are equal the first of these is named.

    Parameters
    ----------
    memory_bytes : int, optional
        The caller's own limit (`--memory`).
    root : Path
        Where the machine's files stand.
    """
    own = resident(root).held
    found = [] if memory_bytes is None else [Limit(memory_bytes, "--memory")]
    for group in groups("memory", root):
        found += _group_limits(group, own)
    found += _address_space(own, root)
    found.append(Limit(machine(root).available + own, "MemAvailable"))
    smallest = min(found, key=lambda limit: limit.bytes)
    return Allowed(smallest.bytes, smallest.source, tuple(found))


def _address_space(own: int, root: Path) -> list[Limit]:
    """Return what a limit of the address space (`ulimit -v`) leaves: maps and libraries take their part of it."""
    import resource

    limit, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _addresses_taken(root)
    if limit == resource.RLIM_INFINITY or not taken:
        return []
    return [Limit(max(0, limit - taken + own), ADDRESS_SPACE)]


def _addresses_taken(root: Path) -> int:
    """Return the bytes of the address space that are in use, or will be once threads compute; 0 if that is unknown."""
    words = fields_of(read_text(root / "proc/self/status") or "").get("VmSize", "").split()
    # Where BLAS finds no addresses for a thread's buffer it waits for ever.
    return (int(words[0]) << 10) + _THREAD_ADDRESSES_BYTES * cpus(root=root).count if words else 0


def addresses_for(needed_bytes: int, mapped_bytes: int, *, root: Path = SYSTEM_ROOT) -> int:
    """Return the limit of the address space (`ulimit -v`, in bytes) with which this much memory is allowed.

    Parameters
    ----------
    needed_bytes : int
        Memory that the process will hold, with what it holds already.
    mapped_bytes : int
        Files that it will map, at most.
    root : Path
        Where the machine's files stand.
    """
    return _addresses_taken(root) + max(0, needed_bytes - resident(root).held) + mapped_bytes


def _group_limits(group: Group, own: int) -> list[Limit]:
    limits = {str(group.path / name): group.number(name) for name in _LIMIT_FILES[group.version]}
    if group.version == 1:
        # Names limits of groups above that a container's mount does not show.
        hierarchical = group.statistics().get("hierarchical_memory_limit")
        if hierarchical not in limits.values():
            limits[f"{group.path / 'memory.stat'} hierarchical_memory_limit"] = hierarchical
    known = {source: limit for source, limit in limits.items() if limit is not None and limit < NO_LIMIT}
    if not known:
        return []
    others = group.held() - own
    others = others if others > _COUNTERS_LAG_BYTES else 0
    less = f", less {format_size(others)} that other processes hold" if others else ""
    return [Limit(max(0, limit - others), f"{source}{less}") for source, limit in known.items()]


@dataclass(frozen=True, slots=True)
class CpuLimit:
    """One bound on how many CPUs this process may keep busy, and where it was found."""

    count: int
    source: str


@dataclass(frozen=True, slots=True)
class Cpus:
    """How many CPUs this process may keep busy: the smallest of the bounds that were found."""

    count: int
    source: str
    candidates: tuple[CpuLimit, ...] = ()
    """Every bound, in the order in which they were looked for."""


def cpus(threads: int | None = None, *, root: Path = SYSTEM_ROOT) -> Cpus:
    """Return how many threads this process should compute with.

    The smallest of `--threads`, each CPU quota from the process's own control group up to the root (rounded
    up), the cpuset, and the affinity; one at least.
    """
    found = [] if threads is None else [CpuLimit(threads, "--threads")]
    for group in groups("cpu", root):
        found += _quota(group)
    for group in groups("cpuset", root):
        found += _cpuset(group)
    found.append(_affinity(root))
    smallest = min(found, key=lambda limit: limit.count)
    return Cpus(max(1, smallest.count), smallest.source, tuple(found))


def _quota(group: Group) -> list[CpuLimit]:
    if group.version == 1:
        name, words = "cpu.cfs_quota_us", [group.read("cpu.cfs_quota_us"), group.read("cpu.cfs_period_us")]
    else:
        name, words = "cpu.max", [*(group.read("cpu.max") or "").split()]
    if len(words) != 2 or not all(word and word.isdigit() for word in words):
        return []
    quota, period = (int(word or 0) for word in words)
    return [CpuLimit(-(-quota // period), str(group.path / name))] if quota and period else []


def _cpuset(group: Group) -> list[CpuLimit]:
    for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
        if text := group.read(name):
            return [CpuLimit(_count_of_list(text), str(group.path / name))]
    return []


def _affinity(root: Path) -> CpuLimit:
    text = fields_of(read_text(root / "proc/self/status") or "").get("Cpus_allowed_list")
    if text:
        return CpuLimit(_count_of_list(text), "affinity")
    return CpuLimit(os.cpu_count() or 1, "os.cpu_count")


def _count_of_list(text: str) -> int:
    """Return how many CPUs a kernel's list such as `0-3,8` names."""
    count = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first:
            count += int(last or first) - int(first) + 1
    return count


def limit_native_threads(count: int) -> None:
    """Bound the threads of BLAS, OpenMP and Arrow in this process, loaded already or later.

    Libraries that load later read the environment; threadpoolctl limits those that are loaded.
    """
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(count)
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.set_cpu_count(count)
    if "numpy" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(limits=count)

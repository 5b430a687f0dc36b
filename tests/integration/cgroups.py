"""Real memory cgroups for tests: a command runs in a group of its own, and what the kernel counted comes back.

Needs root and a mounted memory controller, of version 1 or 2; `refusal` says why there is none. The group is
made below this process's own group, so that it counts against whatever limits the machine has, or beside it
where version 2 allows no groups below one that holds processes.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from lastfm_dask.memory.cgroups import Group, groups
from lastfm_dask.memory.proc import resident_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_numbers = itertools.count()
# The child moves itself into the group before it becomes the command, so that every page counts.
_ENTER = (
    "import os, sys\n"
    "for path in sys.argv[1].split(os.pathsep): open(path, 'w').write(str(os.getpid()))\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended in its group."""

    code: int
    """The exit code; minus a signal's number where one ended it."""
    stdout: str
    stderr: str
    limit_bytes: int
    oom_kills: int
    """How many processes the kernel killed for memory."""
    peak_bytes: int | None
    """The most that the group was charged with, pages of files included; None where the kernel keeps no count."""
    held_bytes: int = 0
    """The most anonymous and shared memory that was seen, where it was looked for."""
    wall_s: float = 0.0
    timed_out: bool = False


def run_limited(
    command: Sequence[str | os.PathLike[str]],
    limit_bytes: int,
    *,
    timeout_s: float = 300,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    watched: bool = False,
) -> Outcome:
    """Run a command that may hold no more than this; skips the test, with the reason, where that can't be had.

    Where it is watched, what it holds is looked at every few milliseconds, and a command that takes too long is
    ended and comes back as timed out.
    """
    reason = refusal()
    if reason:
        pytest.skip(reason)
    group = _make(limit_bytes)
    try:
        entering = [sys.executable, "-S", "-c", _ENTER, str(group.path / "cgroup.procs"), *map(str, command)]
        process = subprocess.Popen(
            entering,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        began, timed_out = time.monotonic(), False
        try:
            with _Watch(process.pid, watched) as watch:
                stdout, stderr = process.communicate(timeout=timeout_s)
        except BaseException as error:
            process.kill()
            stdout, stderr = process.communicate()
            timed_out = watched and isinstance(error, subprocess.TimeoutExpired)
            if not timed_out:
                raise
        return Outcome(
            code=process.returncode,
            stdout=stdout,
            stderr=stderr,
            limit_bytes=limit_bytes,
            oom_kills=_events(group).get("oom_kill", 0),
            peak_bytes=group.number("memory.max_usage_in_bytes" if group.version == 1 else "memory.peak"),
            held_bytes=watch.held_bytes,
            wall_s=time.monotonic() - began,
            timed_out=timed_out,
        )
    finally:
        _remove(group)


class _Watch:
    """Looks at what a process holds while the block runs."""

    def __init__(self, pid: int, watched: bool) -> None:
        self.held_bytes = 0
        self._path = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look) if watched else None

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            with contextlib.suppress(OSError):
                self.held_bytes = max(self.held_bytes, resident_of(self._path.read_text()).held)


@functools.cache
def refusal() -> str:
    """Return why no memory cgroup can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "no memory cgroup can be made: that needs root"
    if not groups("memory"):
        return "no memory cgroup can be made: no memory controller is mounted"
    try:
        _remove(_make(64 << 20))
    except OSError as error:
        return f"no memory cgroup can be made: {error}"
    return ""


def _make(limit_bytes: int) -> Group:
    """Make a group with this limit and no swap; raises OSError where that can't be."""
    reasons = []
    for parent in _parents():
        path = parent.path / f"lastfm-dask-test-{os.getpid()}-{next(_numbers)}"
        group = Group(path, parent.version)
        try:
            path.mkdir()
            _limit(group, limit_bytes)
        except OSError as error:
            reasons.append(str(error))
            _remove(group)
            continue
        return group
    raise OSError("; ".join(reasons))


def _parents() -> list[Group]:
    own = list(groups("memory"))
    if own[0].version == 2:
        # A group that holds processes can have no groups below it with a controller, but for the root.
        for group in own:
            if "memory" not in (group.read("cgroup.subtree_control") or "").split():
                try:
                    (group.path / "cgroup.subtree_control").write_text("+memory")
                except OSError:
                    continue
    return own


def _limit(group: Group, limit_bytes: int) -> None:
    if group.version == 2:
        (group.path / "memory.max").write_text(str(limit_bytes))
        without_swap = group.path / "memory.swap.max", "0"
    else:
        (group.path / "memory.limit_in_bytes").write_text(str(limit_bytes))
        without_swap = group.path / "memory.memsw.limit_in_bytes", str(limit_bytes)
    if without_swap[0].exists():
        without_swap[0].write_text(without_swap[1])
    name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    page = os.sysconf("SC_PAGE_SIZE")
    if group.number(name) != limit_bytes // page * page:
        msg = f"{group.path / name} did not take {limit_bytes}"
        raise OSError(msg)


def _events(group: Group) -> dict[str, int]:
    return group.statistics("memory.events" if group.version == 2 else "memory.oom_control")


def _remove(group: Group) -> None:
    """End what still runs in the group, and remove it."""
    for _ in range(100):
        for pid in (group.read("cgroup.procs") or "").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            group.path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return

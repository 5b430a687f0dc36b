"""One process and all that it starts, timed, with its peak memory: what it held, and what was resident.

Memory is read from `/proc`, fifty times a second. `ru_maxrss` would not do: a child inherits its parent's peak.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lastfm_dask.memory.proc import resident_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INTERVAL_S = 0.02


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run took.

    Attributes
    ----------
    wall_s, cpu_s : float
        From start to end; user and system time of the process and of the children that it waited for.
    peak_rss_bytes : int
        Sum over the processes of the highest resident memory of each (`VmHWM`), pages of files included.
    peak_held_bytes : int
        The highest sum, at one moment, of what only the kernel's killer takes back (RssAnon + RssShmem).
    exit_code : int
        Negative where a signal ended it.
    stdout, stderr : str
        What it printed.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_held_bytes: int
    exit_code: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)


class _Tree:
    """The peak memory of processes and all their descendants, sampled."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = tuple(pids)
        self._peak_of: dict[int, int] = {}
        self.peak_held_bytes = 0

    @property
    def peak_rss_bytes(self) -> int:
        return sum(self._peak_of.values())

    def sample(self) -> None:
        held = 0
        pids = list(self._roots)
        while pids:
            pid = pids.pop()
            try:
                found = resident_of(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pids += map(int, (task / "children").read_text(encoding="utf-8").split())
            except (OSError, ValueError):
                continue
            held += found.held
            self._peak_of[pid] = max(self._peak_of.get(pid, 0), found.peak_rss)
        self.peak_held_bytes = max(self.peak_held_bytes, held)


def run(
    command: Sequence[str],
    folder: Path,
    *,
    timeout_s: float = 3600,
    env: Mapping[str, str] | None = None,
    beside: Sequence[int] = (),
) -> Measured:
    """Run a command to its end and measure it.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    folder : Path
        Where its output is kept, in the files `stdout` and `stderr`.
    timeout_s : float, default 3600
        It is killed after that.
    env : mapping, optional
        Added to this process's environment.
    beside : sequence of int
        Processes that work for it and count with it in memory, though not in time: a cluster's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        begin = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **(env or {})}
        )
        tree = _Tree([process.pid, *beside])
        while True:
            tree.sample()
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - begin > timeout_s:
                process.kill()
            time.sleep(_INTERVAL_S)
        wall_s = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(
        wall_s,
        usage.ru_utime + usage.ru_stime,
        tree.peak_rss_bytes,
        tree.peak_held_bytes,
        process.returncode,
        (folder / "stdout").read_text(errors="replace"),
        (folder / "stderr").read_text(errors="replace"),
    )

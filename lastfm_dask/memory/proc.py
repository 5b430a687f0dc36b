"""What the kernel says of this process and of the machine: `/proc/self/status`, `/proc/meminfo`, `/proc/self/io`.

Only reads, under an injectable root. `limits` decides what may be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_KB = 1024
SYSTEM_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Resident:
    """The resident memory of one process, in bytes, by what stands behind it."""

    anon: int
    """Anonymous pages (`RssAnon`): heap and stack. Only the kernel's killer takes them back."""
    file: int
    """Pages of files (`RssFile`): libraries and memory maps. The kernel drops and reads them again at will."""
    shmem: int
    """Shared memory and tmpfs pages (`RssShmem`): as hard to take back as anonymous ones."""
    peak_rss: int
    """The highest sum of all three since the process began (`VmHWM`)."""

    @property
    def held(self) -> int:
        """What counts against a limit: anonymous and shared pages."""
        return self.anon + self.shmem


def fields_of(text: str) -> dict[str, str]:
    """Return the `Name: value` lines of a file in `/proc` as a dictionary."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _kilobytes(fields: dict[str, str], name: str) -> int:
    words = fields.get(name, "").split()
    return int(words[0]) * _KB if words and words[0].isdigit() else 0


def resident_of(status: str) -> Resident:
    """Return what the text of a `/proc/PID/status` says of resident memory; what it lacks is 0."""
    fields = fields_of(status)
    return Resident(
        anon=_kilobytes(fields, "RssAnon"),
        file=_kilobytes(fields, "RssFile"),
        shmem=_kilobytes(fields, "RssShmem"),
        peak_rss=_kilobytes(fields, "VmHWM"),
    )


def read_text(path: Path) -> str | None:
    """Return a file's text, or None if it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None


def resident(root: Path = SYSTEM_ROOT) -> Resident:
    """Return the resident memory of this process now.

    Where there is no `/proc` psutil gives one figure, all of which is taken for anonymous.
    """
    status = read_text(root / "proc/self/status")
    if status is not None:
        return resident_of(status)
    import psutil

    rss = int(psutil.Process().memory_info().rss)
    return Resident(anon=rss, file=0, shmem=0, peak_rss=rss)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine's memory in bytes, whatever a control group says."""

    total: int
    available: int
    """What could be used without swapping (`MemAvailable`)."""


def machine(root: Path = SYSTEM_ROOT) -> Machine:
    """Return the machine's memory, from `/proc/meminfo` or, where there is none, psutil."""
    text = read_text(root / "proc/meminfo")
    if text is not None:
        fields = fields_of(text)
        return Machine(_kilobytes(fields, "MemTotal"), _kilobytes(fields, "MemAvailable"))
    import psutil

    memory = psutil.virtual_memory()
    return Machine(int(memory.total), int(memory.available))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that this process has moved so far, by the kernel's four counters.

    Calls count what was asked for, cached or not, but no memory maps; storage counts maps too, but nothing that
    was cached.
    """

    read_calls: int
    read_storage: int
    write_calls: int
    write_storage: int

    def read_since(self, earlier: Traffic) -> int:
        """Return the bytes read since then: the larger count is the nearer to what was asked for."""
        return max(self.read_calls - earlier.read_calls, self.read_storage - earlier.read_storage)

    def written_since(self, earlier: Traffic) -> int:
        """Return the bytes written since then, likewise."""
        return max(self.write_calls - earlier.write_calls, self.write_storage - earlier.write_storage)


def traffic(root: Path = SYSTEM_ROOT) -> Traffic:
    """Return the bytes read and written so far, from `/proc/self/io`; zeros where that can't be read."""
    fields = fields_of(read_text(root / "proc/self/io") or "")
    return Traffic(*(int(fields.get(name) or 0) for name in ("rchar", "read_bytes", "wchar", "write_bytes")))

"""Where this process stands among the kernel's control groups, versions 1 and 2, and what their files say.

Pure reading under an injectable root, so that either version is tested anywhere. A path in
`/proc/self/cgroup` is relative to the hierarchy's root; a mount may show only a part of the hierarchy (a
container's own group), and a namespace may hide the path. Where the path can't be found under the mount, the
nearest ancestor that is there is taken, at last the mount's own root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from lastfm_dask.memory.proc import SYSTEM_ROOT, read_text

NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of a page in 63 bits: whatever is above this is none."""

HELD_NAMES = {1: ("total_rss", "total_shmem"), 2: ("anon", "shmem")}
"""The lines of `memory.stat` that count what can't be taken back, of a group and of those below it."""


@dataclass(frozen=True, slots=True)
class Group:
    """One control group's folder, and which version of the interface its files follow."""

    path: Path
    version: Literal[1, 2]

    def read(self, name: str) -> str | None:
        """Return the text of one of its files, stripped, or None if there is none."""
        text = read_text(self.path / name)
        return None if text is None else text.strip()

    def number(self, name: str) -> int | None:
        """Return the number in one of its files; None if there is none, or it says that there is no limit."""
        text = self.read(name)
        value = int(text) if text is not None and re.fullmatch(r"-?[0-9]+", text) else None
        return None if value is None or not 0 <= value < NO_LIMIT else value

    def statistics(self, name: str = "memory.stat") -> dict[str, int]:
        """Return a file of `name number` lines as a dictionary, empty if it can't be read."""
        pairs = (line.split() for line in (self.read(name) or "").splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}

    def held(self) -> int:
        """Return the bytes that all processes of the group and of those below it hold: anonymous and shared."""
        statistics = self.statistics()
        return sum(statistics.get(name, 0) for name in HELD_NAMES[self.version])

    @property
    def usage_path(self) -> Path:
        """The file that holds the group's own count of its memory."""
        return self.path / ("memory.current" if self.version == 2 else "memory.usage_in_bytes")

    def usage(self) -> int | None:
        """Return the group's own count of its memory in bytes, pages of files included."""
        return self.number(self.usage_path.name)


@dataclass(frozen=True, slots=True)
class _Mount:
    shown: PurePosixPath
    """Which part of the hierarchy the mount shows."""
    point: PurePosixPath
    version: Literal[1, 2]
    options: frozenset[str]


def _mounts(root: Path) -> list[_Mount]:
    found = []
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        shown, point = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
        found.append(_Mount(shown, point, 2 if kind[0] == "cgroup2" else 1, frozenset(kind[2].split(","))))
    return found


def _unescaped(text: str) -> str:
    # mountinfo writes blanks, tabs, line ends and backslashes as three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def _memberships(root: Path) -> list[tuple[frozenset[str], PurePosixPath]]:
    found = []
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number and path:
            # "0::/path" is version 2; it names no controllers.
            found.append((frozenset(filter(None, controllers.split(","))), PurePosixPath(path)))
    return found


def groups(controller: str, root: Path = SYSTEM_ROOT) -> tuple[Group, ...]:
    """Return this process's groups for a controller, its own first, up to the mount's root.

    Parameters
    ----------
    controller : str
        A controller's name, such as `memory`, `cpu` or `cpuset`.
    root : Path
        Where the machine's files stand.

    Returns
    -------
    tuple of Group
        Those of version 1 first where both versions are mounted (a hybrid); empty if there are none.
    """
    found: list[Group] = []
    mounts = _mounts(root)
    for controllers, path in _memberships(root):
        version: Literal[1, 2] = 1 if controllers else 2
        if controllers and controller not in controllers:
            continue
        chains = [
            chain
            for mount in mounts
            if mount.version == version and (version == 2 or controller in mount.options)
            for chain in [_chain(mount, path, root)]
        ]
        if chains:
            # Of several mounts of one hierarchy, the one that shows most of the way down to our own group.
            found += [Group(folder, version) for folder in max(chains, key=len)]
    return tuple(dict.fromkeys(found))


def _chain(mount: _Mount, path: PurePosixPath, root: Path) -> list[Path]:
    top = root / mount.point.relative_to("/")
    inside = path.relative_to(mount.shown) if path.is_relative_to(mount.shown) else PurePosixPath()
    # Of a group outside its namespace the kernel writes "/../..", which would lead out of the mount.
    if ".." in inside.parts:
        inside = PurePosixPath()
    chain = [top / part for part in (inside, *inside.parents)]
    return [folder for folder in chain if folder.is_dir()]

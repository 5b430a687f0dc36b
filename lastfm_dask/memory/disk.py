"""What a folder's file system has free, and whether it lives in memory: files there count as memory that is held."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lastfm_dask.memory.proc import SYSTEM_ROOT, read_text

_IN_MEMORY = {"tmpfs", "ramfs", "rootfs"}
_OVER_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "gpfs", "beegfs", "afs"}


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Where a folder's bytes go."""

    mount: str
    """The mount point."""
    kind: str
    """The kernel's name for it, such as `ext4`, `overlay` or `tmpfs`."""
    device: str

    @property
    def in_memory(self) -> bool:
        """Its files are memory that is held."""
        return self.kind in _IN_MEMORY

    @property
    def meaning(self) -> str:
        """What the kind means for files that are written there, in a few words."""
        if self.in_memory:
            return "memory: what is written there counts as memory"
        if self.kind in _OVER_NETWORK or self.kind.startswith("fuse."):
            return "network: memory maps are read over it again and again"
        return "a container's own layer, on the node's disk" if self.kind == "overlay" else "disk"


def file_system(folder: Path, *, root: Path = SYSTEM_ROOT) -> FileSystem | None:
    """Return the file system that a folder is on, from `/proc/self/mountinfo`; None if that can't be read."""
    place = Path(os.path.realpath(folder))
    best: FileSystem | None = None
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        left, separator, right = line.partition(" - ")
        words, kinds = left.split(), right.split()
        if not separator or len(words) < 5 or not kinds:
            continue
        # The kernel writes a blank, tab, newline and backslash as octal escapes.
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), words[4])
        # Of several mounts on one point the last lies on top.
        if place.is_relative_to(mount) and (best is None or len(mount) >= len(best.mount)):
            best = FileSystem(mount, kinds[0], kinds[1] if len(kinds) > 1 else "")
    return best


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written where a folder is; 0 if that is not known."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def lives_in_memory(folder: Path, *, root: Path = SYSTEM_ROOT) -> bool:
    """Say whether a folder is on a file system whose files are kept in memory, such as tmpfs."""
    found = file_system(folder, root=root)
    return found is not None and found.in_memory

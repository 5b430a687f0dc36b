"""What a folder's file system has free, and whether it lives in memory: files there count as memory that is held."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lastfm_dask.memory.proc import SYSTEM_ROOT, read_text

if TYPE_CHECKING:
    from pathlib import Path

_IN_MEMORY = {"tmpfs", "ramfs", "rootfs"}


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written where a folder is; 0 where that can't be told."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def lives_in_memory(folder: Path, *, root: Path = SYSTEM_ROOT) -> bool:
    """Say whether a folder is on a file system whose files are kept in memory, such as tmpfs."""
    place = folder.resolve()
    best, kind = "", ""
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        left, separator, right = line.partition(" - ")
        words = left.split()
        if not separator or len(words) < 5:
            continue
        # The kernel writes a blank, tab, newline and backslash as octal escapes.
        mount = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), words[4])
        if place.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind in _IN_MEMORY

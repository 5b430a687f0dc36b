"""How this process takes memory from the kernel and gives it back: a trade of pace for memory.

`pooled` is Arrow's own pool, which keeps freed memory for the next block; `trimmed` is the C library's
allocator, told to give memory back at once and to keep few arenas. Choosing between them is `plan`'s business.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Allocator = Literal["pooled", "trimmed"]

# The numbers of glibc's malloc.h. Setting any of the first two also ends the growth of the size from which an
# allocation is a map of its own, so that large buffers go back to the kernel when they are freed.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_TRIM_THRESHOLD_BYTES = 64 << 10
_DEFAULT_THRESHOLD_BYTES = 128 << 10
_ARENAS = 2


@cache
def _glibc() -> Any:
    """Return glibc, or None on another C library (musl, macOS), which has no such knobs."""
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, TypeError):
        return None


@cache
def _first_pool() -> pa.MemoryPool:
    """Return the pool that Arrow began with; asked before any other is set."""
    import pyarrow as pa

    return pa.default_memory_pool()


def can_trim() -> bool:
    """Say whether the C library can be told to give memory back."""
    return _glibc() is not None


def use(allocator: Allocator) -> None:
    """Set how Arrow and the C library allocate in this process from now on.

    What is allocated already stays where it is. The number of arenas can't be raised again once it was
    lowered; all else can be set to and fro.
    """
    import pyarrow as pa

    first = _first_pool()
    trimmed = allocator == "trimmed"
    pa.set_memory_pool(pa.system_memory_pool() if trimmed else first)
    libc = _glibc()
    if libc is None:
        return
    libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES if trimmed else _DEFAULT_THRESHOLD_BYTES)
    if trimmed:
        libc.mallopt(_M_MMAP_THRESHOLD, _DEFAULT_THRESHOLD_BYTES)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give memory that the C library freed back to the kernel; imports nothing."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def release() -> None:
    """Give freed memory back to the kernel: of Arrow's pools and of the C library. Takes some milliseconds."""
    import pyarrow as pa

    for pool in (pa.default_memory_pool(), _first_pool()):
        pool.release_unused()
    trim()

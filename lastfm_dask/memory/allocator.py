"""How this process takes memory from the kernel and gives it back.

The C library serves Arrow and NumPy alike, from one arena, and keeps what one block freed for the next, so that
`release` can give all of it back between two stages. Measured on a scan in blocks of 16 MiB: Arrow's own pool is as
fast and keeps 60 MiB more after it; giving large buffers back at once (the C library's default) halves the peak and
doubles the time, where halving the block does the former for a twentieth of the latter.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# The numbers of glibc's malloc.h. Setting either of the first two keeps both from growing by themselves.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_MMAP_BYTES = 32 << 20
"""mmap threshold: larger buffers return to the kernel when freed. The largest that glibc takes."""
_SERVING_BYTES = 256 << 10
_TRIM_BYTES = 64 << 20
"""How much may stay free at a heap's end."""
_ARENAS = 1
_WORTHWHILE_BYTES = 1 << 20
_TRIES = 8


class _MallocInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`; `keepcost` is what lies free at the main arena's end."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    )


@cache
def _glibc() -> Any:
    """Return glibc, or None on another C library (musl, macOS) or one before 2.33, which lacks such knobs."""
    try:
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _MallocInfo
    except (OSError, TypeError, AttributeError):
        return None
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return library


@cache
def _first_pool() -> pa.MemoryPool:
    """Return the pool that Arrow started with; call it before any other is set."""
    import pyarrow as pa

    return pa.default_memory_pool()


def can_trim() -> bool:
    """Return whether the C library returns freed memory on request."""
    return _glibc() is not None


def begin() -> None:
    """Keep the C library from giving threads arenas of their own: before libraries that start some are imported.

    Arrow's own kernels ask the pool that they found when Arrow was loaded, whatever `use` sets, and that pool never
    gives back what a thread that lives on has freed: so the choice must be in the environment before.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def give_back_at_once() -> None:
    """Map every buffer from `_SERVING_BYTES` on apart, so that it returns when freed.

    For a long-lived server, and for tables that double: a heap keeps the pieces that they have outgrown. `use` ends it.

    The C library would raise that bound by itself, and long-lived pieces then keep the heap from ever shrinking.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _SERVING_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _SERVING_BYTES)


def use() -> str:
    """Set how Arrow and the C library allocate in this process from now on; return the name of Arrow's pool.

    What is allocated already stays where it is, and the number of arenas can't be raised again. On another C
    library than glibc nothing is set.
    """
    import pyarrow as pa

    first = _first_pool()
    libc = _glibc()
    if libc is not None:
        pa.set_memory_pool(pa.system_memory_pool())
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        begin()
        return "system"
    return str(first.backend_name)


def trim() -> None:
    """Give memory that the C library freed back to the kernel; imports nothing but ctypes."""
    libc = _glibc()
    if libc is None:
        return
    libc.malloc_trim(0)
    _empty_top(libc)


def _empty_top(libc: Any) -> None:
    """Give back what is free at the arena's end, which `malloc_trim` can't where the heap was not grown by `brk`.

    It is taken as one allocation whose pages are dropped before it is freed again. Where the C library serves that
    from a free piece elsewhere, whose pages are gone already, it is held and asked once more.
    """
    taken = []
    for _ in range(_TRIES):
        top_bytes = libc.mallinfo2().keepcost - mmap.PAGESIZE
        place = libc.malloc(top_bytes) if top_bytes > _WORTHWHILE_BYTES else None
        if place is None:
            break
        taken.append(place)
        first = -(-place // mmap.PAGESIZE) * mmap.PAGESIZE
        n_bytes = (place + top_bytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
        libc.madvise(first, n_bytes, mmap.MADV_DONTNEED)
    for place in taken:
        libc.free(place)


def release() -> None:
    """Give freed memory back to the kernel: of Arrow's pools and of the C library. Takes some milliseconds."""
    import pyarrow as pa

    for pool in (pa.default_memory_pool(), _first_pool()):
        pool.release_unused()
    trim()

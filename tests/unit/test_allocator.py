"""Pools and the C library's knobs, each in a process of its own: they can't all be undone."""

from __future__ import annotations

import subprocess
import sys

CODE = """
from lastfm_dask.memory import allocator
import pyarrow as pa
name = allocator.use()
assert pa.default_memory_pool().backend_name == name
assert name == "system" or not allocator.can_trim()
from lastfm_dask.memory.meter import anon_bytes
pa.array([0])  # Its first call imports what stays: numpy, and pandas where it is installed.
before = anon_bytes()
arrays = [pa.array(range(10_000)) for _ in range(400)]
held = anon_bytes()
del arrays
allocator.release()
kept = anon_bytes()
assert held - before > 20 << 20, (before, held)
assert kept - before < 8 << 20, (before, held, kept)
"""


def test_memory_goes_back_to_the_kernel() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Pools and the C library's knobs, each in a process of its own: they can't all be undone."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from lastfm_dask.memory import allocator
import pyarrow as pa
first = pa.default_memory_pool().backend_name
allocator.use(sys.argv[1])
assert pa.default_memory_pool().backend_name == ("system" if sys.argv[1] == "trimmed" else first)
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
allocator.use("pooled")
assert pa.default_memory_pool().backend_name == first
"""


@pytest.mark.parametrize("choice", ["pooled", "trimmed"])
def test_memory_goes_back_to_the_kernel(choice: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, choice], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Pools and the C library's knobs, each in a process of its own: they can't all be undone."""

from __future__ import annotations

import subprocess
import sys

from lastfm_dask.memory import allocator

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


THREADS = """
import sys, threading
from lastfm_dask.memory import allocator
if sys.argv[1] == "begun":
    allocator.begin()
import numpy as np
import pyarrow as pa, pyarrow.compute, pyarrow.csv, io
from lastfm_dask.memory.meter import anon_bytes
allocator.use()
lines = b"".join(b"%040d\\t%012d\\n" % (i, i % 1000) for i in range(100_000))

def work():
    for _ in range(3):
        options = pa.csv.ReadOptions(use_threads=False, column_names=["a", "b"], block_size=1 << 23)
        table = pa.csv.read_csv(io.BytesIO(lines), options, pa.csv.ParseOptions(delimiter="\\t"))
        pa.compute.utf8_lower(table.column("a").cast("string")).combine_chunks().dictionary_encode()
        del table
    idle.wait()
    idle.wait()

before = anon_bytes()
idle = threading.Barrier(3, timeout=20)
threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
idle.wait()
held = anon_bytes()
allocator.release()
print(held - before, anon_bytes() - before)
idle.wait()
"""


def test_memory_that_idle_threads_freed_goes_back_too() -> None:
    """Threads of a pool live on between two stages, and what they freed must not stay with them."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS, "begun"], capture_output=True, text=True, check=True, timeout=60
    )
    held, kept = map(int, done.stdout.split())
    if allocator.can_trim():
        assert kept < held / 20, (held, kept)

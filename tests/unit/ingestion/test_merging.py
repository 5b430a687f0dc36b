"""What merging names takes, against what Arrow allocates for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MEASURE = """
import sys
import pyarrow as pa
from lastfm_dask.ingestion.names import Names, merge_bytes
n, n_again, size = map(int, sys.argv[1:])
pool = pa.system_memory_pool()
pa.set_memory_pool(pool)
names = Names()
names.merge([pa.array([f"{i:0{size}d}" for i in range(n)])])
batch = pa.array([f"{i:0{size}d}" for i in range(n - n_again, n + n_again)])
before = pool.bytes_allocated()
highest = pool.max_memory()
names.merge([batch])
print(pool.max_memory() > highest, pool.max_memory() - before, merge_bytes(names.merged))
"""


@pytest.mark.parametrize(
    ("n", "n_again", "size"), [(20_000, 20_000, 40), (120_000, 60_000, 40), (130_000, 65_000, 9)]
)
def test_a_merge_allocates_what_is_projected(n, n_again, size):
    """In a process of its own: Arrow's kernels keep to the pool that was set when they were loaded."""
    command = [sys.executable, "-c", MEASURE, *map(str, (n, n_again, size))]
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    grew, measured, projected = done.stdout.split()
    assert grew == "True"
    assert int(measured) <= int(projected) <= 2.5 * int(measured)

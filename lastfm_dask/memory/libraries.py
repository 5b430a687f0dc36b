"""Which libraries this process finds: packages and their versions, the C library, OpenMP, BLAS and their threads.

Only reads; nothing is installed or changed, but what is imported stays imported.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

from lastfm_dask.memory import allocator
from lastfm_dask.memory.proc import resident

PACKAGES = (
    "lastfm_dask",
    "dask",
    "distributed",
    "pyarrow",
    "numpy",
    "scipy",
    "implicit",
    "threadpoolctl",
    "psutil",
    "click",
    "rich",
    "rapidfuzz",
)
EXTRAS = {
    "bokeh": "profile",
    "optuna": "tune",
    "s3fs": "s3",
    "aiohttp": "http",
    "duckdb": "bench",
    "polars": "bench",
}
"""Packages that may be missing, and the extra that brings each."""

INGEST_LIBRARIES = ("numpy", "pyarrow.csv", "pyarrow.compute", "pyarrow.parquet", "dask.threaded")
TRAIN_LIBRARIES = ("scipy.sparse", "implicit.cpu.als", "threadpoolctl")
OPENMP = "libgomp.so.1"


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of all packages that are used here; None for those not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*PACKAGES, *EXTRAS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def openmp_problem(name: str = OPENMP) -> str | None:
    """Return why the OpenMP library that implicit is built on can't be loaded; None if it can."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the process holds once a step's libraries are imported."""

    step: str
    bytes: int
    problem: str | None
    """Why an import failed."""


def import_and_measure(step: str, names: tuple[str, ...]) -> Reserved:
    """Import modules and return what the process holds then, in bytes; an import that fails is said, not raised."""
    problem = None
    for name in names:
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever keeps a library from loading is what is asked for
            problem = problem or f"import {name}: {type(error).__name__}: {error}"
    return Reserved(step, resident().held, problem)


_HELD_BY = """
import sys
from importlib import import_module
from lastfm_dask.memory import allocator, imports, meter
allocator.begin()
for name in sys.argv[1:]:
    import_module(name)
imports.keep_pandas_out()
print(meter.anon_bytes())
"""


def held_by(names: tuple[str, ...]) -> int | None:
    """Return the bytes that a new process holds once it has imported modules; None where one can't be imported.

    A process of its own, since this one holds more than these modules. It has ended when this returns.

    Parameters
    ----------
    names : tuple of str
        The modules.
    """
    command = [sys.executable, "-c", _HELD_BY, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else None


def thread_pools() -> list[dict[str, Any]]:
    """Return the BLAS and OpenMP libraries that are loaded, each with its version and threads."""
    import threadpoolctl

    pools = [
        {
            "kind": pool["user_api"],
            "library": pool["prefix"],
            "version": pool["version"],
            "threads": pool["num_threads"],
        }
        for pool in threadpoolctl.threadpool_info()
    ]
    return [pool for i, pool in enumerate(pools) if pool not in pools[:i]]


def allocators() -> dict[str, Any]:
    """Return what allocates: the C library, whether it returns freed memory on request, and Arrow's pools."""
    import pyarrow as pa

    name, version = platform.libc_ver()
    return {
        "c_library": f"{name} {version}".strip() or None,
        "can_trim": allocator.can_trim(),
        "arrow_pool": pa.default_memory_pool().backend_name,
        "arrow_pools": list(pa.supported_memory_backends()),
    }

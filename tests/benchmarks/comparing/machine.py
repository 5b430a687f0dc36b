"""The machine and the versions that a table of figures belongs to."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("lastfm_dask", "numpy", "pyarrow", "scipy", "dask", "implicit", "pandas", "polars", "duckdb")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def machine_line() -> str:
    """Return processor, processors to use, memory, system, how busy it is, and versions, in one line."""
    memory_kib = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    parts = (
        f"{_processor()}, {len(os.sched_getaffinity(0))} processors",
        f"{memory_kib / (1 << 20):.0f} GiB",
        f"Linux {platform.release()}",
        f"load {os.getloadavg()[0]:.1f} when the run began",
        f"Python {platform.python_version()}",
        ", ".join(f"{package} {_version(package)}" for package in PACKAGES),
    )
    return "; ".join(parts)

"""Runs of the command line in processes of their own, and what they must leave behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENGINE_FREE = (
    "users.parquet",
    "artists.parquet",
    "rejects.tsv",
    *(f"user_items/{n}.npy" for n in ("indptr", "indices", "data")),
)
"""The files of a dataset that do not depend on who made it; the manifest and the receipts may."""


def start(
    *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Start a command."""
    variables = {name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-m", "lastfm_dask", *map(str, arguments)],
        env={**variables, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0, timeout_s: float = 120) -> tuple[str, str]:
    """Wait for a command, hold its exit code against the one that is due, and return what it said."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == code, f"ended with {process.returncode}: {err}"
    return out, err


def run(
    *arguments: object, code: int = 0, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> tuple[str, str]:
    """Run a command to its end; see `finish`."""
    return finish(start(*arguments, env=env, cwd=cwd), code)


def fingerprint(dataset: Path) -> dict[str, str]:
    """Return the checksum of each file that must not depend on the engine."""
    return {name: hashlib.sha256((dataset / name).read_bytes()).hexdigest() for name in ENGINE_FREE}


def n_spooled(output: Path) -> int:
    """Return how many blocks a run that is under way, or was killed, has on its disk."""
    return sum(1 for _ in output.parent.glob(f".{output.name}.work/**/*.arrow"))

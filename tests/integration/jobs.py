"""What a run of `ingest` leaves behind: a dataset whose bytes do not depend on the engine, or a spool."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ENGINE_FREE = (
    "users.parquet",
    "artists.parquet",
    "rejects.tsv",
    *(f"user_items/{n}.npy" for n in ("indptr", "indices", "data")),
)
"""The files of a dataset that do not depend on who made it; the manifest and the receipts may."""


def fingerprint(dataset: Path) -> dict[str, str]:
    """Return the checksum of each file that must not depend on the engine."""
    return {name: hashlib.sha256((dataset / name).read_bytes()).hexdigest() for name in ENGINE_FREE}


def n_spooled(output: Path) -> int:
    """Return how many blocks a run that is under way, or was killed, has on its disk."""
    return sum(1 for _ in output.parent.glob(f".{output.name}.work/**/*.arrow"))

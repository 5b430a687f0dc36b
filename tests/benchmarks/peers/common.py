"""What the peers share: the same things delivered to disk, whatever made them.

A peer is one script, one process: SOURCE and a folder that does not exist are its arguments. It leaves there
`users.parquet`, `artists.parquet`, a CSR matrix as three `.npy` files and `statistics.json`, and prints the statistics.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

TOP = 30


def arguments() -> tuple[str, Path]:
    """Return the source and the output folder, which is made."""
    source, output = sys.argv[1:3]
    folder = Path(output)
    folder.mkdir(parents=True)
    return source, folder


def save_matrix(folder: Path, users: Any, artists: Any, plays: Any, shape: tuple[int, int]) -> int:
    """Sum, sort and write the CSR matrix of these rows; return its stored values."""
    from scipy.sparse import coo_matrix

    matrix = coo_matrix((plays, (users, artists)), shape=shape).tocsr()
    matrix.sum_duplicates()
    for name in ("indptr", "indices", "data"):
        np.save(folder / f"{name}.npy", getattr(matrix, name))
    return int(matrix.nnz)


def describe(values: Any) -> dict[str, float]:
    """Return what pandas' `describe` gives."""
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return {
        "count": len(values),
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)),
        "min": float(np.min(values)),
        **dict(zip(("25%", "50%", "75%"), map(float, quartiles), strict=True)),
        "max": float(np.max(values)),
    }


def save_pandas(folder: Path, users: pd.DataFrame, artists: pd.DataFrame) -> dict[str, Any]:
    """Write the mappings, and return the statistics that follow from them.

    Parameters
    ----------
    users, artists : DataFrame
        Columns user, n_artists, plays, median_plays; and artist, listeners, plays.
    """
    users.to_parquet(folder / "users.parquet")
    artists.to_parquet(folder / "artists.parquet")
    return {
        "users": len(users),
        "artists": len(artists),
        "plays_total": int(artists["plays"].sum()),
        "top_artists": artists.nlargest(TOP, "listeners").to_dict("records"),
        "artists_per_user": describe(users["n_artists"]),
        "median_plays_per_user": describe(users["median_plays"]),
    }


def deliver(folder: Path, statistics: Mapping[str, Any]) -> None:
    """Write and print the statistics."""
    text = json.dumps(statistics, ensure_ascii=False, default=int)
    (folder / "statistics.json").write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - this is the peer's answer

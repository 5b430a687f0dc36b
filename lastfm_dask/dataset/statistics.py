"""What a dataset holds, in numbers: the keys that `stats --json` lists. Pure: arrays in, plain values out.

Statistics are over kept rows, before equal (user, artist) rows are summed, as pandas gives them in
the notebook: listeners and artists per user count rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    import numpy.typing as npt

TOP_ARTISTS = 30
_QUANTILES = {"25%": 0.25, "50%": 0.5, "75%": 0.75}


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted over a source and its matrix.

    Attributes
    ----------
    rows_read, rows_kept, rejects
        Of the source: rows_read = rows_kept + the sum of `rejects`, by reason.
    played_once : int
        Rows with one play.
    nnz : int
        Stored values of the matrix.
    csr_bytes : int
        Bytes of the matrix's three arrays.
    """

    rows_read: int
    rows_kept: int
    rejects: dict[str, int]
    played_once: int
    nnz: int
    csr_bytes: int


def describe(values: npt.NDArray[np.number]) -> dict[str, float | int | None]:
    """Return count, mean, std (ddof=1), min, quartiles (linear) and max, as pandas' `describe` does.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Without missing values. Where n is 0 all but the count are None; where it is 1 the std is.
    """
    import numpy as np

    n = len(values)
    if n == 0:
        return {"count": 0, **dict.fromkeys(("mean", "std", "min", *_QUANTILES, "max"))}
    quartiles = np.quantile(values, list(_QUANTILES.values()))
    return {
        "count": n,
        "mean": float(np.mean(values, dtype=np.float64)),
        "std": float(np.std(values, ddof=1, dtype=np.float64)) if n > 1 else None,
        "min": float(values.min()),
        **dict(zip(_QUANTILES, map(float, quartiles), strict=True)),
        "max": float(values.max()),
    }


def most_heard(listeners: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.intp]:
    """Return the columns of the `n` artists with the most listeners; ties go by first appearance."""
    import numpy as np

    if 0 < n < len(listeners):
        # Only those at or above the n-th count have to be sorted.
        least = np.partition(listeners, len(listeners) - n)[len(listeners) - n]
        # Of those that tie with the n-th, however many, the first are enough.
        candidates = np.concatenate(
            [np.flatnonzero(listeners > least), np.flatnonzero(listeners == least)[:n]]
        )
        candidates.sort()
    else:
        candidates = np.arange(len(listeners))
    return candidates[np.argsort(-listeners[candidates], kind="stable")][:n]


def top_artists(
    listeners: npt.NDArray[np.int64],
    plays: npt.NDArray[Any],
    names: Callable[[npt.NDArray[np.intp]], Iterable[str]],
    n: int = TOP_ARTISTS,
) -> list[dict[str, Any]]:
    """Return the most heard artists: name, listeners, plays."""
    columns = most_heard(listeners, n)
    return [
        {"artist": name, "listeners": int(listeners[j]), "plays": plays[j].item()}
        for name, j in zip(names(columns), columns, strict=True)
    ]


def statistics(
    counts: Counts,
    user_rows: npt.NDArray[np.int64],
    median_plays: npt.NDArray[np.float64],
    artist_plays: npt.NDArray[Any],
    top: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the statistics of a dataset.

    Parameters
    ----------
    counts : Counts
        What was counted.
    user_rows : ndarray, shape (n_users,), int64
        Rows of each user.
    median_plays : ndarray, shape (n_users,), float64
        Median plays of each user's rows.
    artist_plays : ndarray, shape (n_artists,), int64, or float64 for real values
        Plays of each artist.
    top : list of dict
        See `top_artists`.
    """
    n_users, n_artists = len(user_rows), len(artist_plays)
    n_rows = int(user_rows.sum())
    return {
        "rows_read": counts.rows_read,
        "rows_kept": counts.rows_kept,
        "rejects": counts.rejects,
        "users": n_users,
        "artists": n_artists,
        "nnz": counts.nnz,
        "plays_total": artist_plays.sum().item(),
        "played_once": counts.played_once,
        "played_once_share": counts.played_once / n_rows if n_rows else None,
        "dense_bytes": n_users * n_artists,
        "csr_bytes": counts.csr_bytes,
        "top_artists": top,
        "artists_per_user": describe(user_rows),
        "median_plays_per_user": describe(median_plays),
    }

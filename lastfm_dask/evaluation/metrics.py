"""Textbook ranking metrics of recommended lists, with bootstrap intervals over users.

Pure functions of arrays: nothing is trained or ranked here. A list is held-out artists against recommended ones,
relevance is binary, and a rank beyond the end of a short list is a miss. Formulas: Manning, Raghavan, Schütze,
Introduction to Information Retrieval, 2008, ch. 8; Järvelin, Kekäläinen 2002 for NDCG; the same as trec_eval's
`P`, `recall`, `map_cut` and `ndcg_cut`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Floats = npt.NDArray[np.float64]
    Items = npt.NDArray[np.integer]

BLOCK_ROWS = 4096
"""Lists that are compared with what was held out at once."""

PER_USER = ("ndcg", "recall", "recall_min", "precision", "map", "map_min")
"""Metrics that each user has, averaged over users. `recall` and `map` divide by the number of held-out artists;
`recall_min` and `map_min` by no more than k, so that a perfect list of k scores 1."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


def find_hits(items: Items, held_out: csr_matrix) -> npt.NDArray[np.bool_]:
    """Return which recommended artists were held out.

    Parameters
    ----------
    items : int, shape (n_users, k)
        The recommended columns, best first, distinct within a row; below zero where a list ends early.
    held_out : csr_matrix, shape (n_users, n_artists)
        Row i belongs to list i; columns sorted.
    """
    import numpy as np

    n_users, n_artists = held_out.shape
    hits = np.zeros(items.shape, dtype=bool)
    for start in range(0, n_users, BLOCK_ROWS):
        given = items[start : start + BLOCK_ROWS]
        n_rows = len(given)
        ends = held_out.indptr[start : start + n_rows + 1]
        rows = np.arange(n_rows, dtype=np.int64) * n_artists
        wanted = np.repeat(rows, np.diff(ends)) + held_out.indices[ends[0] : ends[-1]]
        # Rows ascend and columns ascend within them, so all that is wanted is sorted.
        sought = rows[:, None] + given
        place = np.minimum(np.searchsorted(wanted, sought), len(wanted) - 1)
        hits[start : start + n_rows] = (wanted[place] == sought) & (given >= 0) if len(wanted) else False
    return hits


def score_lists(hits: npt.NDArray[np.bool_], n_relevant: Items, k: int) -> dict[str, Floats]:
    """Return every metric of `PER_USER` at k, float64, shape (n_users,).

    Parameters
    ----------
    hits : bool, shape (n_users, at least k)
        Whether the artist at each rank was held out.
    n_relevant : int, shape (n_users,)
        Held-out artists of each user, at least 1.
    """
    import numpy as np

    hits = hits[:, :k]
    ranks = np.arange(1, k + 1)
    discounts = 1 / np.log2(ranks + 1)
    n_ideal = np.minimum(n_relevant, k)
    n_hits = hits.sum(axis=1)
    precision_sums = (hits * np.cumsum(hits, axis=1) / ranks).sum(axis=1)
    return {
        "ndcg": (hits * discounts).sum(axis=1) / np.cumsum(discounts)[n_ideal - 1],
        "recall": n_hits / n_relevant,
        "recall_min": n_hits / n_ideal,
        "precision": n_hits / k,
        "map": precision_sums / n_relevant,
        "map_min": precision_sums / n_ideal,
    }


def coverage(items: Items, n_artists: int) -> float:
    """Return the share of all artists that are in at least one list."""
    return len(_distinct(items)) / n_artists


def _distinct(items: Items) -> Items:
    import numpy as np

    found = np.unique(items)
    return found[found >= 0]


def per_user(items: Items, held_out: csr_matrix, ks: Sequence[int]) -> dict[str, Floats]:
    """Return each metric of `PER_USER` at each k by user, named as in `ndcg@10`; see `measure`."""
    import numpy as np

    hits, n_relevant = find_hits(items, held_out), np.diff(held_out.indptr)
    return {f"{name}@{k}": values for k in ks for name, values in score_lists(hits, n_relevant, k).items()}


def measure(
    items: Items,
    held_out: csr_matrix,
    ks: Sequence[int],
    *,
    seed: int = 42,
    n_resamples: int = 1000,
) -> dict[str, Interval]:
    """Return each metric at each k, named as in `ndcg@10`, with its 95 % interval.

    Resampling draws users with replacement, with the same draws for all metrics, and so for every model that is
    measured on these users with this seed. Means have percentile intervals. Coverage is not a mean: a resample
    holds fewer distinct users and covers less, so its interval is the figure plus and minus 1.96 times the
    resamples' standard deviation, cut to [0, 1].

    Parameters
    ----------
    items : int, shape (n_users, at least max(ks))
        As for `find_hits`.
    held_out : csr_matrix, shape (n_users, n_artists)
        Row i belongs to list i; no row is empty.
    ks : sequence of int
        Lengths of the lists.
    seed, n_resamples : int
        Of the bootstrap.
    """
    import numpy as np

    n_users, n_artists = held_out.shape
    by_user = per_user(items, held_out, ks)
    names, values = list(by_user), np.column_stack(list(by_user.values()))
    means = values.mean(axis=0)
    resampled = np.empty((n_resamples, len(names)))
    covered = np.empty((n_resamples, len(ks)))
    rng = np.random.default_rng(seed)
    for i in range(n_resamples):
        counts = np.bincount(rng.integers(n_users, size=n_users), minlength=n_users)
        resampled[i] = counts @ values / n_users
        seen = np.zeros(n_artists + 1, dtype=bool)
        drawn = items[counts > 0]
        last_k = 0
        for j, k in sorted(enumerate(ks), key=lambda pair: pair[1]):
            # Index -1, a list's early end, marks the spare cell at the end.
            seen[drawn[:, last_k:k]] = True
            covered[i, j] = np.count_nonzero(seen[:-1]) / n_artists
            last_k = k
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0) if n_resamples else (means, means)
    found = {
        n: Interval(float(m), float(a), float(b)) for n, m, a, b in zip(names, means, low, high, strict=True)
    }
    for j, k in enumerate(ks):
        value = coverage(items[:, :k], n_artists)
        spread = 1.96 * float(covered[:, j].std()) if n_resamples else 0.0
        found[f"coverage@{k}"] = Interval(value, max(0.0, value - spread), min(1.0, value + spread))
    return found

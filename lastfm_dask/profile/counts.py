"""How often each value stands in a column, counted batch by batch, and what follows from that alone.

Memory is bounded by a batch and by how many different values there are, not by the rows: all of a popularity
curve and of a histogram follows from the counts of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

_BATCH_ROWS = 1 << 16
_MOST_BINS = 60


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """The different values of a column, ascending, and how many rows have each."""

    values: Numbers
    counts: Integers

    @property
    def total(self) -> int:
        """How many rows there are."""
        return int(self.counts.sum())

    def median(self) -> float:
        """Return the median of all rows; NaN if there are none."""
        if not len(self.values):
            return float("nan")
        ends = np.cumsum(self.counts)
        middle = [
            np.searchsorted(ends, rank, side="right") for rank in ((self.total - 1) // 2, self.total // 2)
        ]
        return float(self.values[middle].mean())


def count_values(batches: Iterable[npt.NDArray[Any]]) -> ValueCounts:
    """Return the counts of all values in some arrays."""
    values, counts = np.empty(0, np.float64), np.empty(0, np.int64)
    for batch in batches:
        new_values, new_counts = np.unique(batch.astype(np.float64), return_counts=True)
        joined, places = np.unique(np.concatenate((values, new_values)), return_inverse=True)
        sums = np.zeros(len(joined), np.int64)
        np.add.at(sums, places, np.concatenate((counts, new_counts)))
        values, counts = joined, sums
    return ValueCounts(values, counts)


def read_counts(path: Path, *columns: str) -> dict[str, ValueCounts]:
    """Return the counts of the values of some numeric columns of a Parquet file, in one pass for each."""
    import pyarrow.parquet as pq

    from lastfm_dask.dataset.opening import reading

    with reading(path), pq.ParquetFile(path) as file:
        return {
            name: count_values(
                batch.column(0).to_numpy(zero_copy_only=False)
                for batch in file.iter_batches(_BATCH_ROWS, columns=[name])
            )
            for name in columns
        }


@dataclass(frozen=True, slots=True)
class RankCurve:
    """Values by rank, the largest first: a step for each different value."""

    first_ranks: Integers
    """The rank, from 1, of the first row with each value."""
    last_ranks: Integers
    values: Numbers

    def smallest_part(self, share: float) -> int:
        """Return how many of the largest make this share of the sum of all values."""
        sums = np.cumsum(self.values * (self.last_ranks - self.first_ranks + 1))
        if not len(sums) or sums[-1] <= 0:
            return 0
        step = int(np.searchsorted(sums, share * sums[-1]))
        before = sums[step - 1] if step else 0.0
        return int(self.first_ranks[step] - 1 + np.ceil((share * sums[-1] - before) / self.values[step]))


def rank_curve(counts: ValueCounts) -> RankCurve:
    """Return the curve of values above zero by rank."""
    above = counts.values > 0
    values, sizes = counts.values[above][::-1], counts.counts[above][::-1]
    last = np.cumsum(sizes)
    return RankCurve(last - sizes + 1, last, values)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many rows fall between edges; `counts[i]` is of `edges[i] <= value < edges[i + 1]`, the last closed."""

    edges: Numbers
    counts: Integers
    logarithmic: bool


def histogram(counts: ValueCounts, *, logarithmic: bool | None = None) -> Histogram:
    """Return the histogram of values above zero, in even bins or in bins that grow with the value.

    Parameters
    ----------
    counts : ValueCounts
        What is drawn. Its values are whole or half numbers.
    logarithmic : bool, optional
        Whether bins double every second time; unless given, where the largest value is more than ten medians.
    """
    above = counts.values > 0
    values, sizes = counts.values[above], counts.counts[above]
    if not len(values):
        return Histogram(np.array([0.0, 1.0]), np.zeros(1, np.int64), logarithmic=False)
    if logarithmic is None:
        logarithmic = bool(values[-1] > 10 * counts.median())
    edges = _doubling(values[0], values[-1]) if logarithmic else _even(values[0], values[-1])
    found, _ = np.histogram(values, bins=edges, weights=sizes)
    return Histogram(edges, np.rint(found).astype(np.int64), logarithmic)


def _doubling(lowest: float, highest: float) -> Numbers:
    """Return whole edges 1, 2, 3, 4, 6, 8, 12, 16, 23, 32 … around all values from 1."""
    steps = np.arange(0, 2 * int(np.log2(max(2.0, highest)) + 2))
    edges = np.unique(np.ceil(2.0 ** (steps / 2) - 1e-9))
    first = max(0, int(np.searchsorted(edges, lowest, side="right")) - 1)
    last = int(np.searchsorted(edges, highest, side="right"))
    edges = edges[first : last + 1]
    return np.concatenate(([lowest / 2], edges)) if lowest < edges[0] else edges


def _even(lowest: float, highest: float) -> Numbers:
    """Return edges in steps of 1, 2, 5, 10 …, around whole values."""
    step = next(
        size * 10**power
        for power in range(30)
        for size in (1, 2, 5)
        if (highest - lowest) / (size * 10**power) < _MOST_BINS
    )
    first = np.floor(lowest / step) * step
    return np.arange(first, highest + step + 1e-9, step, dtype=np.float64)

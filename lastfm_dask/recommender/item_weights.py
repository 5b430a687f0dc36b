"""Scores by item weights: the sum of ln(1 + plays) W[u, i] over a user's artists u. Needs NumPy alone.

A score is summed in float64, artist after artist of the user's list, so every command gets the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.errors import StoreError

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.integer]
    Floats = npt.NDArray[np.floating]

VALUES_AT_ONCE = 1 << 20
"""Weights that are gathered at once, for a list that reaches more."""
_DENSE_SHARE = 8
"""A list that reaches more than this part of the artists is summed in an array of all."""


@dataclass(frozen=True, slots=True)
class ItemWeights:
    """A CSR matrix of weights, shape (n_artists, n_artists): row u holds what artist u adds to others."""

    indptr: Integers
    indices: Integers
    data: Floats

    @property
    def n_artists(self) -> int:
        """Rows and columns."""
        return len(self.indptr) - 1

    def scores(self, items: Integers, plays: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the artists that a list reaches, ascending, and their scores.

        Parameters
        ----------
        items : integers, shape (n,)
            The list's columns.
        plays : floats, shape (n,)
            Their plays.
        """
        starts, lengths = self._parts(items)
        ends = np.cumsum(lengths)
        if len(ends) and ends[-1] > max(VALUES_AT_ONCE, self.n_artists // _DENSE_SHARE):
            return self._scores_of_long(items, plays, ends)
        places = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
        columns = self._columns(places)
        added = self.data[places] * np.repeat(_weights(plays), lengths)
        if len(columns) > self.n_artists // _DENSE_SHARE:
            sums = np.asarray(np.bincount(columns, added, minlength=self.n_artists), np.float64)
            reached = np.flatnonzero(sums).astype(np.int64)
            return reached, sums[reached]
        distinct, codes = np.unique(columns, return_inverse=True)
        sums = np.asarray(np.bincount(codes, added, minlength=len(distinct)), np.float64)
        return distinct.astype(np.int64), sums

    def _scores_of_long(
        self, items: Integers, plays: Floats, ends: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return what `scores` does, some artists of the list at a time: the sums are added up in the same order."""
        sums = np.zeros(self.n_artists)
        for first, last in row_blocks(np.concatenate(([0], ends)), VALUES_AT_ONCE):
            starts, lengths = self._parts(items[first:last])
            stops = np.cumsum(lengths)
            places = np.repeat(starts - (stops - lengths), lengths) + np.arange(stops[-1])
            added = self.data[places] * np.repeat(_weights(plays[first:last]), lengths)
            np.add.at(sums, self._columns(places), added)
        reached = np.flatnonzero(sums).astype(np.int64)
        return reached, sums[reached]

    def _parts(self, items: Integers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return where the weights of artists start and how many there are; the files may be damaged."""
        starts = self.indptr[items].astype(np.int64)
        lengths = self.indptr[np.asarray(items) + 1] - starts
        ends = starts + lengths
        if len(starts) and (
            int(starts.min()) < 0 or int(lengths.min()) < 0 or int(ends.max()) > len(self.data)
        ):
            msg = "row bounds are not within the weights"
            raise _damaged(msg)
        return starts, lengths

    def _columns(self, places: npt.NDArray[np.int64]) -> Integers:
        columns = self.indices[places]
        if len(columns) and (int(columns.min()) < 0 or int(columns.max()) >= self.n_artists):
            msg = f"a column is not within 0 to {self.n_artists - 1}"
            raise _damaged(msg)
        return columns

    def contributions(self, items: Integers, plays: Floats, targets: Integers) -> npt.NDArray[np.float64]:
        """Return what each artist of a list adds to the scores of some artists, shape (n_targets, n)."""
        weights = _weights(plays)
        found = np.zeros((len(targets), len(items)))
        for i, item in enumerate(np.asarray(items).tolist()):
            (start,), (length,) = self._parts(np.array([item]))
            part = slice(int(start), int(start + length))
            columns, values = self.indices[part], self.data[part]
            for row, target in enumerate(np.asarray(targets).tolist()):
                found[row, i] = weights[i] * float(values[columns == target].sum(dtype=np.float64))
        return found


def _damaged(problem: str) -> StoreError:
    msg = (
        f"the model's item weights ({', '.join(layout.ITEM_WEIGHTS)}) are damaged: {problem}; train it again"
    )
    return StoreError(msg)


def _weights(plays: Floats) -> npt.NDArray[np.float64]:
    return np.log1p(np.asarray(plays, np.float64))


def of_matrix(matrix: Any) -> ItemWeights:
    """Return the weights of a csr_matrix, over its own arrays."""
    return ItemWeights(matrix.indptr, np.asarray(matrix.indices), np.asarray(matrix.data))

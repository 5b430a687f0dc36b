"""Scores by item weights: the sum of ln(1 + plays) W[u, i] over a user's artists u. Needs only NumPy.

A score is summed in float64, artist after artist of the user's list, so every command gets the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.errors import StoreError

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.integer]
    Floats = npt.NDArray[np.floating]

VALUES_AT_ONCE = 1 << 17
"""Weights of a list that are gathered at once."""
_DENSE_SHARE = 8
"""A list of more weights than this part of the artists is summed in an array of all."""


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

    def lengths(self, items: Integers) -> npt.NDArray[np.int64]:
        """Return how many weights artists have, shape (n,)."""
        return self._parts(items)[1]

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
        n_values, factors = int(ends[-1]) if len(ends) else 0, _weights(plays)
        if n_values > min(VALUES_AT_ONCE, self.n_artists // _DENSE_SHARE):
            sums = np.zeros(self.n_artists)
            for first in range(0, n_values, VALUES_AT_ONCE):
                last = min(first + VALUES_AT_ONCE, n_values)
                columns, added = self._gathered(starts, ends, factors, first, last)
                np.add.at(sums, columns, added)
            reached = np.flatnonzero(sums).astype(np.int64)
            return reached, sums[reached]
        columns, added = self._gathered(starts, ends, factors, 0, n_values)
        distinct, codes = np.unique(columns, return_inverse=True)
        sums = np.asarray(np.bincount(codes, added, minlength=len(distinct)), np.float64)
        return distinct.astype(np.int64), sums

    def _gathered(
        self,
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        factors: npt.NDArray[np.float64],
        first: int,
        last: int,
    ) -> tuple[Integers, npt.NDArray[np.float64]]:
        """Return columns of some of a list's weights, artist after artist, and what they add to these."""
        part = slice(int(np.searchsorted(ends, first, "right")), int(np.searchsorted(ends, last, "left")) + 1)
        begins = np.concatenate(([0], ends))[:-1][part]
        lengths = np.minimum(ends[part], last) - np.maximum(begins, first)
        places = np.repeat(starts[part] - begins, lengths) + np.arange(first, last)
        return self._columns(places), self.data[places] * np.repeat(factors[part], lengths)

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

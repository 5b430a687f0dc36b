"""From plays to confidence: three weightings, computed block by block from statistics of the whole matrix.

The orientation is user_items everywhere: rows are listeners, columns are artists. Needs only NumPy, so that
answers can weigh a new user's plays as training did.

confidence = alpha * weight, in float32, where weight is

- `raw`: plays
- `log`: ln(1 + plays)
- `bm25`: idf(artist) * plays * (K1 + 1) / (K1 * norm(user) + plays), with
  idf(artist) = ln(n_users) - ln(1 + listeners) and norm(user) = 1 - B + B * plays(user) / mean plays of a user:
  what `implicit.nearest_neighbours.bm25_weight(user_items, K1, B)` gives, each user being a document and
  each artist a term (Robertson and Zaragoza 2009, eq. 3.15).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.arrays import BLOCK_NNZ
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from lastfm_dask.training.settings import TrainSettings

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.integer]


def count_columns(indices: Integers, n_artists: int) -> npt.NDArray[np.int64]:
    """Return how many stored values each column has, shape (n_artists,); counted block by block."""
    counts = np.zeros(n_artists, np.int64)
    for start in range(0, len(indices), BLOCK_NNZ):
        counts += np.bincount(indices[start : start + BLOCK_NNZ], minlength=n_artists)
    return counts


@dataclass(frozen=True, slots=True)
class Totals:
    """Statistics of a whole matrix, which `bm25` needs; the other weightings do without."""

    n_users: int
    mean_plays: float
    """Plays of a user, on average over all rows."""
    listeners: npt.NDArray[np.int64] = field(repr=False)
    """Stored values by column, shape (n_artists,)."""

    @classmethod
    def of(cls, indptr: Integers, indices: Integers, data: Floats, n_artists: int) -> Totals:
        """Count a CSR matrix, block by block; plays are summed in float64, which is exact below 2^53."""
        total = 0.0
        for start in range(0, len(data), BLOCK_NNZ):
            total += float(np.sum(data[start : start + BLOCK_NNZ], dtype=np.float64))
        n_users = len(indptr) - 1
        return cls(n_users, total / n_users if n_users else 0.0, count_columns(indices, n_artists))

    def idf(self) -> Floats:
        """Return ln(n_users) - ln(1 + listeners) by column, float32."""
        return (math.log(max(self.n_users, 1)) - np.log1p(self.listeners)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Weigher:
    """Turns the plays of whole rows into confidences, by what the settings say.

    Parameters
    ----------
    settings : TrainSettings
        Weighting, its parameters, and alpha.
    totals : callable
        Gives the statistics of the whole matrix; called only for `bm25`, once.
    """

    settings: TrainSettings
    totals: Callable[[], Totals]
    _cache: list[tuple[Floats, float]] = field(default_factory=list, init=False, repr=False)

    @property
    def is_identity(self) -> bool:
        """Whether a confidence is the stored plays, so that nothing need be written."""
        return self.settings.weighting == "raw" and self.settings.alpha == 1

    def confidence(self, indptr: Integers, indices: Integers, plays: Floats) -> Floats:
        """Return the confidences of consecutive rows, each row whole.

        Parameters
        ----------
        indptr : integers, shape (n_rows + 1,)
            Where each row begins and ends in `indices`; `indptr[0]` may be any number.
        indices : integers, shape (nnz,)
            Columns.
        plays : float32, shape (nnz,)
            Plays.

        Returns
        -------
        float32, shape (nnz,)
            A new array, alpha included.
        """
        weight = self._weight(indptr, indices, plays)
        weight *= np.float32(self.settings.alpha)
        return weight

    def _weight(self, indptr: Integers, indices: Integers, plays: Floats) -> Floats:
        if self.settings.weighting == "raw":
            return np.array(plays, np.float32)
        if self.settings.weighting == "log":
            return np.log1p(plays, dtype=np.float32)
        if not self._cache:
            totals = self.totals()
            self._cache.append((totals.idf(), totals.mean_plays))
        idf, mean_plays = self._cache[0]
        lengths = np.diff(indptr)
        # Sums of whole numbers in float64: exact, so they do not depend on the block.
        sums = np.bincount(np.repeat(np.arange(len(lengths)), lengths), plays, minlength=len(lengths))
        k1, b = self.settings.bm25_k1, self.settings.bm25_b
        norm = (k1 * (1 - b + b * sums / (mean_plays or 1.0))).astype(np.float32)
        weight = np.repeat(norm, lengths)
        weight += plays
        np.divide(plays, weight, out=weight)
        weight *= np.float32(k1 + 1)
        weight *= idf[indices]
        return weight


@dataclass(slots=True)
class ConfidenceRange:
    """The smallest and largest confidence seen so far, and the columns of those that can't be used."""

    lowest: float = math.inf
    highest: float = -math.inf
    n_refused: int = 0
    refused: set[int] = field(default_factory=set)
    """Columns with a confidence that is not above zero, the first few."""

    def see(self, indices: Integers, confidence: Floats) -> None:
        """Take a block into account."""
        if not len(confidence):
            return
        self.lowest = min(self.lowest, float(confidence.min()))
        self.highest = max(self.highest, float(confidence.max()))
        if not self.lowest > 0 or not math.isfinite(self.highest):
            wrong = ~((confidence > 0) & np.isfinite(confidence))
            self.n_refused += int(np.count_nonzero(wrong))
            for column in np.unique(indices[wrong])[:10].tolist():
                if len(self.refused) < 10:
                    self.refused.add(column)

    def refuse(self, name_of: Callable[[int], str], weighting: str) -> None:
        """Raise BadInputError if a confidence was zero, negative or not finite.

        implicit reads a negative value as a dislike: an artist that every user has gets one from BM25.
        """
        if not self.n_refused:
            return
        names = ", ".join(f"{name_of(column)!r} (column {column})" for column in sorted(self.refused)[:5])
        msg = (
            f"{self.n_refused} confidences of weighting {weighting} are not above zero (lowest {self.lowest:g},"
            f" highest {self.highest:g}), in columns such as {names}: use the weighting log or raw, or another"
            " alpha"
        )
        raise BadInputError(msg)

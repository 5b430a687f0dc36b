"""How far training has come: objective and effective rank on a fixed sample, cheap enough for every iteration.

The objective is that of Hu, Koren and Volinsky (2008, eq. 3), on the users of the sample and with the Gram matrix of
the sample's artists. The sample depends only on the matrix' shape, so training stops after the same iteration
whatever the threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Factors = npt.NDArray[np.float32]

CHUNK_FACTORS = 1 << 18
"""Factors that are worked on at once: the sample takes little memory, however many factors a vector has."""
MAX_VALUES, MIN_VALUES = 1 << 17, 1 << 12
"""Bounds of the sample's stored values: its users have about a 64th of all."""
MAX_ROWS, MIN_ROWS = 1 << 13, 1 << 11
"""Bounds of the sample's users and of its artists."""
_VALUES_SHARE, _ROWS_SHARE = 64, 16


@dataclass(frozen=True, slots=True)
class Objective:
    """The objective on a fixed sample of users and artists of a matrix of confidences."""

    matrix: csr_matrix
    """Shape (n_users, n_artists), float32."""
    regularization: float
    users: npt.NDArray[np.int64]
    artists: npt.NDArray[np.int64]

    @classmethod
    def of(cls, matrix: csr_matrix, regularization: float) -> Objective:
        """Draw the sample: users with about a 64th of the values, and a 16th of the artists, within bounds."""
        n_users, n_artists = matrix.shape
        n_values = min(MAX_VALUES, max(MIN_VALUES, matrix.nnz // _VALUES_SHARE))
        users = np.random.default_rng(0).choice(n_users, min(MAX_ROWS, n_users), replace=False)
        ends = np.cumsum(matrix.indptr[users + 1] - matrix.indptr[users], dtype=np.int64)
        users = users[: int(np.searchsorted(ends, n_values)) + 1]
        n_rows = min(MAX_ROWS, max(MIN_ROWS, n_artists // _ROWS_SHARE), n_artists)
        artists = np.linspace(0, n_artists - 1, n_rows).astype(np.int64)
        return cls(matrix, regularization, np.sort(users), artists)

    def value(self, user_factors: Factors, item_factors: Factors) -> float:
        """Return the objective, scaled to all users.

        Parameters
        ----------
        user_factors, item_factors : float32, shapes (n_users, factors) and (n_artists, factors)
            Only the sample's rows and those of its users' artists are read.
        """
        gram = self._gram(item_factors)
        total = 0.0
        for rows in _chunks(self.users, item_factors.shape[1]):
            vectors = np.asarray(user_factors[rows], np.float64)
            total += float(np.sum((vectors @ gram) * vectors))
            total += self.regularization * float(np.sum(vectors * vectors))
        total += self._observed(user_factors, item_factors)
        return total * len(user_factors) / len(self.users) + self.regularization * float(np.trace(gram))

    def rank(self, item_factors: Factors) -> float:
        """Return the effective rank of the factors of the sample's artists."""
        return effective_rank(self._gram(item_factors))

    def _gram(self, item_factors: Factors) -> npt.NDArray[np.float64]:
        """Return the Gram matrix of the sample's artists, scaled to all artists."""
        n_factors = item_factors.shape[1]
        gram = np.zeros((n_factors, n_factors))
        for rows in _chunks(self.artists, n_factors):
            items = item_factors[rows]
            gram += items.T @ items
        return gram * (len(item_factors) / len(self.artists))

    def _observed(self, user_factors: Factors, item_factors: Factors) -> float:
        """Return what stored values add beyond the Gram matrix' share: the sum of c (1 - p)^2 - p^2."""
        starts = self.matrix.indptr[self.users].astype(np.int64)
        lengths = self.matrix.indptr[self.users + 1] - starts
        before = np.cumsum(lengths) - lengths
        total = 0.0
        for place in _chunks(np.arange(int(lengths.sum())), user_factors.shape[1]):
            row = np.searchsorted(before, place, "right") - 1
            at = starts[row] + place - before[row]
            vectors, items = user_factors[self.users[row]], item_factors[self.matrix.indices[at]]
            score = np.einsum("ij,ij->i", vectors, items).astype(np.float64)
            total += float(np.sum(self.matrix.data[at] * (1 - score) ** 2 - score**2))
        return total


def effective_rank(gram: npt.NDArray[np.float64]) -> float:
    """Return how many directions factors use: exp of the entropy of their Gram matrix' eigenvalues.

    Roy, Vetterli 2007, "The effective rank", with squared singular values. 1 means that all vectors point the same
    way.
    """
    weights = np.maximum(np.linalg.eigvalsh(gram), 0.0)
    total = float(weights.sum())
    if not total > 0:
        return 0.0
    shares = weights[weights > 0] / total
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _chunks(rows: npt.NDArray[np.int64], n_factors: int) -> list[npt.NDArray[np.int64]]:
    """Cut row numbers into pieces whose vectors have a bounded number of factors."""
    size = max(1, CHUNK_FACTORS // n_factors)
    return [rows[start : start + size] for start in range(0, len(rows), size)]

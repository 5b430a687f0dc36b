"""A user's own least-squares problem, solved exactly: vectors for new users, and what a score is made of.

With the factors Y of all artists, the confidences c of a user's artists, and lambda, their vector x solves

    W x = Y^T C p,   W = Y^T Y + Y^T (C - I) Y + lambda I

(Hu, Koren, Volinsky 2008, eq. 4), where C - I and p are zero but for the user's artists. The score of artist i
is y_i . x, a sum over the user's artists u of c_u (y_i^T W^-1 y_u) (the same, section 5). In float64; Y^T Y is
the model's stored Gram matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NormalEquations:
    """The linear system of one user."""

    matrix: Floats
    """W, shape (factors, factors), symmetric."""
    rows: Floats
    """The vectors of the user's artists, shape (n, factors)."""
    confidence: Floats
    """Shape (n,)."""

    @classmethod
    def of(
        cls,
        gram: Floats,
        rows: npt.NDArray[np.floating],
        confidence: npt.NDArray[np.floating],
        regularization: float,
    ) -> NormalEquations:
        """Build the system.

        Parameters
        ----------
        gram : float64, shape (factors, factors)
            Y^T Y over all artists.
        rows : floats, shape (n, factors)
            The vectors of the user's artists.
        confidence : floats, shape (n,)
            Their confidences, alpha included.
        regularization : float
            Lambda.
        """
        vectors: Floats = np.asarray(rows, np.float64)
        weights: Floats = np.asarray(confidence, np.float64)
        matrix = gram + vectors.T @ ((weights - 1)[:, None] * vectors)
        matrix[np.diag_indices_from(matrix)] += regularization
        return cls(matrix, vectors, weights)

    def vector(self) -> Floats:
        """Return the user's vector x, shape (factors,)."""
        return self._solve(self.rows.T @ self.confidence)

    def contributions(self, targets: npt.NDArray[np.floating]) -> Floats:
        """Return what each of the user's artists adds to the scores of artists.

        Parameters
        ----------
        targets : floats, shape (n_targets, factors)
            The artists' vectors.

        Returns
        -------
        float64, shape (n_targets, n)
            Row i sums to `targets[i] . vector()`, but for rounding.
        """
        solved = self._solve(np.asarray(targets, np.float64).T)
        return np.asarray((self.rows @ solved).T * self.confidence)

    def _solve(self, right: Floats) -> Floats:
        try:
            return np.asarray(np.linalg.solve(self.matrix, right))
        except np.linalg.LinAlgError:
            # Without regularization factors that no artist uses leave W singular: the shortest solution then.
            return np.asarray(np.linalg.pinv(self.matrix, hermitian=True) @ right)

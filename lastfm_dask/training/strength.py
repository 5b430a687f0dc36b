"""How strong training is, settled from the data: alpha from the plays, regularization from the lists' lengths.

The rule in one sentence: alpha makes the mean confidence 11, and regularization is a quarter of the largest singular
value that such confidences would have if users played artists at random.

Regularization `l` on both sides of a factorization cuts `l` off each singular value (Mazumder, Hastie, Tibshirani 2010,
"Spectral regularization algorithms", lemma 1): directions weaker than `l` vanish. So a fixed number that suits one
log's plays leaves one direction, popularity, where plays are few, and noise where they are many. A random matrix with
confidences c, lists of L artists and of K users has singular values up to about c (sqrt L + sqrt K). L and K are means
over interactions, sum(n^2) / sum(n), since the longest lists decide. With it regularization grows with the lists, as
Rendle, Krichene, Zhang and Koren recommend (2022, "Revisiting the performance of iALS", section 3.2: each user's and
artist's regularization relative to the list's length), as far as one number for all can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset.arrays import BLOCK_NNZ, row_blocks
from lastfm_dask.training.weighting import Totals, Weigher, count_columns

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.training.settings import TrainSettings

MEAN_CONFIDENCE = 11.0
"""Mean confidence of a stored value that alpha is chosen for; a missing value has 1."""
NOISE_SHARE = 0.25
"""Regularization as a share of the largest singular value of noise."""
RULE = (
    f"alpha makes the mean confidence {MEAN_CONFIDENCE:g}; regularization is {NOISE_SHARE:g} of the largest singular"
    " value that such confidences would have if users played artists at random"
)


@dataclass(frozen=True, slots=True)
class Lengths:
    """What the rule needs of a matrix besides the weights: how long lists are, as a mean over interactions."""

    user: float
    """Artists on the list of an interaction's user."""
    artist: float
    """Users on the list of an interaction's artist."""

    @classmethod
    def of(cls, matrix: csr_matrix) -> Lengths:
        """Count a matrix, shape (n_users, n_artists)."""
        return cls(
            _mean_over_interactions(np.diff(matrix.indptr)),
            _mean_over_interactions(count_columns(matrix.indices, matrix.shape[1])),
        )

    @property
    def noise(self) -> float:
        """Return the largest singular value of noise of confidence 1."""
        return math.sqrt(self.user) + math.sqrt(self.artist)


def _mean_over_interactions(lengths: npt.NDArray[np.integer]) -> float:
    total = squares = 0.0
    for start in range(0, len(lengths), BLOCK_NNZ):
        block = lengths[start : start + BLOCK_NNZ].astype(np.float64)
        total, squares = total + float(block.sum()), squares + float(block @ block)
    return squares / total if total else 0.0


def mean_weight(matrix: csr_matrix, settings: TrainSettings) -> float:
    """Return the mean confidence of a matrix' stored values for alpha 1, summed block by block."""

    def counted() -> Totals:
        return Totals.of(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1])

    weigher, total = Weigher(replace(settings, alpha=1.0), counted), 0.0
    for start, end in row_blocks(matrix.indptr):
        part = slice(int(matrix.indptr[start]), int(matrix.indptr[end]))
        weights = weigher.confidence(matrix.indptr[start : end + 1], matrix.indices[part], matrix.data[part])
        total += float(np.sum(weights, dtype=np.float64))
    return total / matrix.nnz if matrix.nnz else 0.0


def settle(matrix: csr_matrix, settings: TrainSettings) -> TrainSettings:
    """Return settings whose alpha and regularization fit the data, where they ask for it.

    Parameters
    ----------
    matrix : csr_matrix, shape (n_users, n_artists), float32
        Plays; read block by block.
    settings : TrainSettings
        `auto` names what is settled; a given alpha is kept, and regularization then follows it.

    Returns
    -------
    TrainSettings
        With numbers of four digits, so that they can be given again as they are shown; `auto` stays.
    """
    if not {"alpha", "regularization"} & set(settings.auto):
        return settings
    weight = mean_weight(matrix, settings)
    if not weight > 0:
        # Unusable confidences: `prepare` refuses them and names them.
        return settings
    settled: dict[str, Any] = {}
    alpha = settings.alpha
    if "alpha" in settings.auto:
        alpha = settled["alpha"] = four_digits(MEAN_CONFIDENCE / weight)
    if "regularization" in settings.auto:
        settled["regularization"] = four_digits(NOISE_SHARE * alpha * weight * Lengths.of(matrix).noise)
    return replace(settings, **settled)


def four_digits(value: float) -> float:
    """Return a number rounded so that a person can read it and type it."""
    return float(f"{value:.4g}")

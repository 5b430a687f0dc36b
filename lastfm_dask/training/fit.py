"""Training's second stage: implicit's alternating least squares over a mapped matrix and mapped factors.

The factors are those that plain implicit finds for the same confidences and seed. Importing this imports implicit.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl

from lastfm_dask.dataset.arrays import dense_blocks
from lastfm_dask.errors import BadInputError

with warnings.catch_warnings():
    # In a notebook without ipywidgets tqdm, which implicit imports, warns about a bar that is never shown.
    warnings.simplefilter("ignore")
    from implicit.cpu.als import AlternatingLeastSquares

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from lastfm_dask.dataset.matrix import MappedCsr
    from lastfm_dask.training.settings import TrainSettings

    Factors = npt.NDArray[np.float32]


class MappedAls(AlternatingLeastSquares):  # type: ignore[misc]
    """implicit's model, but that it checks its factors block by block, not through a mask of their whole size."""

    def _check_fit_errors(self) -> None:
        for factors in (self.user_factors, self.item_factors):
            refuse_diverged(factors)


def make_model(settings: TrainSettings, *, threads: int) -> MappedAls:
    """Return implicit's ALS for the CPU, untrained, with alpha 1: alpha is in the confidences already."""
    return MappedAls(
        factors=settings.factors,
        regularization=settings.regularization,
        alpha=1.0,
        iterations=settings.iterations,
        num_threads=threads,
        random_state=settings.seed,
    )


def fit(
    matrix: MappedCsr,
    settings: TrainSettings,
    user_factors: Factors,
    item_factors: Factors,
    *,
    threads: int,
    after_iteration: Callable[[int, float], None] | None = None,
) -> None:
    """Find the factors of a matrix of confidences, in place.

    Parameters
    ----------
    matrix : MappedCsr, shape (n_users, n_artists), float32
        Confidences, which know their transpose (`mapped_pair`).
    settings : TrainSettings
        Factors, regularization, iterations and seed; its weighting and alpha are in the confidences.
    user_factors, item_factors : float32, shapes (n_users, factors) and (n_artists, factors)
        Where the factors go, maps of mode "w+" or arrays; what they hold does not matter.
    threads : int
        Threads to compute with; the factors do not depend on it.
    after_iteration : callable, optional
        Told an iteration's number, from 0, and its wall seconds.

    Raises
    ------
    BadInputError
        Where the factors are no finite numbers in the end.
    """

    def callback(iteration: int, elapsed_s: float, loss: float | None) -> None:  # noqa: ARG001
        if after_iteration is not None:
            after_iteration(iteration, elapsed_s)

    # implicit alone would be many times slower with a threaded BLAS under its own threads.
    with threadpoolctl.threadpool_limits(1, "blas"):
        model = make_model(settings, threads=threads)
        model.user_factors, model.item_factors = user_factors, item_factors
        first_factors(settings.seed, user_factors, item_factors)
        model.fit(matrix, show_progress=False, callback=callback)


def first_factors(seed: int, *arrays: Factors) -> None:
    """Fill factor arrays as implicit's `fit` does for this seed, block by block: users first, then artists."""
    generator = np.random.default_rng(seed)
    for array in arrays:
        for start, end in dense_blocks(array):
            block = array[start:end]
            block[...] = generator.random(block.shape, dtype=np.float32) * 0.01


def refuse_diverged(factors: Factors) -> None:
    """Raise BadInputError where a factor is not a finite number."""
    for start, end in dense_blocks(factors):
        if not np.isfinite(factors[start:end]).all():
            msg = (
                f"training diverged: a factor of rows {start} to {end - 1} is no finite number; raise"
                " --regularization, or use the weighting log"
            )
            raise BadInputError(msg)


def item_statistics(item_factors: Factors) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Return what answers need of all artists' factors at once: their Gram matrix and their norms.

    Parameters
    ----------
    item_factors : float32, shape (n_artists, factors)
        The factors, read once, block by block.

    Returns
    -------
    gram : float64, shape (factors, factors)
        Y^T Y, summed in float64.
    norms : float32, shape (n_artists,)
        The Euclidean length of each row.
    """
    n_factors = item_factors.shape[1]
    gram, norms = np.zeros((n_factors, n_factors)), np.empty(len(item_factors), np.float32)
    with threadpoolctl.threadpool_limits(1, "blas"):
        for start, end in dense_blocks(item_factors):
            block = np.asarray(item_factors[start:end], np.float64)
            gram += block.T @ block
            norms[start:end] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return gram, norms

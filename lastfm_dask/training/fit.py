"""Training's second stage: implicit's alternating least squares over a mapped matrix and mapped factors.

The factors are those that plain implicit finds for the same confidences and seed, after as many iterations. Where
the settings leave the number of iterations to training, it stops once the objective and the effective rank settle. Importing this imports
implicit.
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl

from lastfm_dask.dataset.arrays import dense_blocks
from lastfm_dask.errors import BadInputError
from lastfm_dask.training.history import History
from lastfm_dask.training.objective import Objective
from lastfm_dask.training.rows_done import solve_reported

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


def _ignore(*_: object) -> None:
    pass


def make_model(settings: TrainSettings, *, threads: int) -> AlternatingLeastSquares:
    """Return implicit's ALS for the CPU, untrained, with alpha 1: alpha is in the confidences already."""
    return AlternatingLeastSquares(
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
    after_iteration: Callable[[float], None] = _ignore,
    progress: Callable[[int, int], None] = _ignore,
    start: History | None = None,
    keep: Callable[[History], None] = _ignore,
) -> History:
    """Find the factors of a matrix of confidences, in place.

    Parameters
    ----------
    matrix : MappedCsr, shape (n_users, n_artists), float32
        Confidences, which know their transpose (`mapped_pair`).
    settings : TrainSettings
        Factors, regularization, iterations and seed; its weighting and alpha are in the confidences.
    user_factors, item_factors : float32, shapes (n_users, factors) and (n_artists, factors)
        Where the factors go, maps of mode "r+" or "w+", or arrays.
    threads : int
        Threads to compute with; the factors do not depend on it.
    after_iteration : callable, optional
        Called with each iteration's wall seconds.
    progress : callable, optional
        Called with the rows solved, users and artists in all iterations, and the most there are; from any thread.
    start : History, optional
        What the factors already are. Without it they start at random, by the seed.
    keep : callable, optional
        Called after each iteration, when the factors and the history belong together.

    Returns
    -------
    History
        What was done.

    Raises
    ------
    BadInputError
        If a factor is not a finite number in the end.
    """
    history = _begun(settings, start, user_factors, item_factors)
    # implicit alone would be many times slower with a threaded BLAS under its own threads.
    with threadpoolctl.threadpool_limits(1, "blas"):
        model = make_model(settings, threads=threads)
        watched = _watched(matrix, settings, history, user_factors, item_factors)
        report = _rows_reported(sum(matrix.shape), settings, history, progress)
        while history.iterations < most_iterations(settings) and not history.has_settled:
            started = time.perf_counter()
            _iterate(model, matrix, user_factors, item_factors, report)
            history.iterations += 1
            if watched:
                _watch(watched, history, user_factors, item_factors)
            keep(history)
            after_iteration(time.perf_counter() - started)
            report(0)
    refuse_diverged(user_factors, item_factors)
    return history


def _begun(
    settings: TrainSettings, start: History | None, user_factors: Factors, item_factors: Factors
) -> History:
    """Return what the factors already are; without a start, fill them by the seed."""
    if start is None:
        first_factors(settings.seed, user_factors, item_factors)
    return start or History()


def _rows_reported(
    n_rows: int, settings: TrainSettings, history: History, progress: Callable[[int, int], None]
) -> Callable[[int], None]:
    """Return what reports that some of an iteration's rows are done, beside those of the iterations before it."""
    total = most_iterations(settings) * n_rows

    def report(done: int) -> None:
        progress(history.iterations * n_rows + done, total)

    report(0)
    return report


def _watched(
    matrix: MappedCsr, settings: TrainSettings, history: History, user_factors: Factors, item_factors: Factors
) -> Objective | None:
    """Return the objective that ends the iterations, its first value in the history; None if their number is given."""
    if "iterations" not in settings.auto:
        return None
    watched = Objective.of(matrix, settings.regularization)
    if not history.objective:
        _watch(watched, history, user_factors, item_factors)
    return watched


def _watch(watched: Objective, history: History, user_factors: Factors, item_factors: Factors) -> None:
    """Append the objective and the effective rank to the history."""
    history.objective.append(watched.value(user_factors, item_factors))
    history.ranks.append(watched.rank(item_factors))


def _iterate(
    model: AlternatingLeastSquares,
    matrix: MappedCsr,
    user_factors: Factors,
    item_factors: Factors,
    report: Callable[[int], None],
) -> None:
    """Solve for all users with the artists' factors fixed, then for all artists with the users' fixed."""
    n_users = len(user_factors)
    for rows, solved, fixed, before in (
        (matrix, user_factors, item_factors, 0),
        (matrix.T.tocsr(), item_factors, user_factors, n_users),
    ):
        solve_reported(
            partial(model.solver, rows, solved, fixed, model.regularization, num_threads=model.num_threads),
            solved,
            lambda done, before=before: report(before + done),  # type: ignore[misc]
        )


def most_iterations(settings: TrainSettings) -> int:
    """Return how many iterations training does at most."""
    return settings.max_iterations if "iterations" in settings.auto else settings.iterations


def first_factors(seed: int, *arrays: Factors) -> None:
    """Fill factor arrays as implicit's `fit` does for this seed, block by block: users first, then artists."""
    generator = np.random.default_rng(seed)
    for array in arrays:
        for start, end in dense_blocks(array):
            block = array[start:end]
            block[...] = generator.random(block.shape, dtype=np.float32) * 0.01


def refuse_diverged(*arrays: Factors) -> None:
    """Raise BadInputError if a factor is not a finite number."""
    for factors in arrays:
        for start, end in dense_blocks(factors):
            if not np.isfinite(factors[start:end]).all():
                msg = (
                    f"training diverged: a factor of rows {start} to {end - 1} is not a finite number; raise"
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

"""EASE, the item weights that rebuild the lists best: computed on disk, the largest weights of each artist kept.

With X = ln(1 + plays), divided by its root mean square, and P = (X^T X + lambda I)^-1, the weights are
B = I - P diag(1 / P_jj), zero on the diagonal (Steck 2019, "Embarrassingly shallow autoencoders for sparse data", eq. 8).
Where there are fewer users than artists, P follows from the smaller inverse C = (X X^T + lambda I)^-1 by the identity of
Woodbury: lambda P = I - X^T C X. The inverse is a mapped file, factorized in place by LAPACK on one thread, so that equal
data gives equal weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl

from lastfm_dask.dataset.arrays import create_array, index_type, row_blocks
from lastfm_dask.dataset.matrix import csr_of, transpose_on_disk
from lastfm_dask.errors import BadInputError
from lastfm_dask.training.largest import places_of_largest
from lastfm_dask.training.neighbours import ends_of
from lastfm_dask.training.weighting import count_columns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.training.fit_run import FitRun

    Matrix = npt.NDArray[np.float32]

MAX_SIDE = 10_000
"""Users or artists, whichever are fewer, up to which the inverse is computed: 400 MB on disk."""
MAX_PRODUCTS = 1 << 38
"""Multiplications up to which the weights of all artists are computed: some minutes on two threads."""
N_WEIGHTS = 500
"""At least this many weights of each artist are kept, or all if there are fewer artists."""
MAX_WEIGHTS = 1 << 24
"""Weights up to which more are kept: where artists are few, all."""
REGULARIZATION = 70.0
"""Lambda unless another is chosen."""
BLOCK_VALUES = 1 << 19
"""Weights that are computed at once, on each thread."""


def has_room(shape: tuple[int, int], nnz: int) -> bool:
    """Say whether EASE can be computed for this shape (n_users, n_artists) and `nnz`, in memory and time."""
    return min(shape) <= MAX_SIDE and _products(shape, nnz) <= MAX_PRODUCTS


def weights_of_each(n_artists: int) -> int:
    """Return how many weights are kept of each artist that is scored."""
    return min(max(N_WEIGHTS, MAX_WEIGHTS // n_artists), n_artists)


def _products(shape: tuple[int, int], nnz: int) -> int:
    """Return about how many multiplications all weights take: each artist's are rebuilt from every list."""
    n_users, n_artists = shape
    return n_artists * (n_artists + (nnz if n_users <= n_artists else 0))


def fit_ease(
    train: csr_matrix, run: FitRun, regularization: float = REGULARIZATION, *, n_weights: int | None = None
) -> csr_matrix:
    """Work out the weights of EASE.

    Parameters
    ----------
    train : csr_matrix, shape (n_users, n_artists), float32
        The plays; columns sorted.
    run : FitRun
        How the fit goes.
    regularization : float
        Lambda, above 0.
    n_weights : int, optional
        Weights kept of each artist that is scored, by size; `weights_of_each` unless given.

    Returns
    -------
    csr_matrix, shape (n_artists, n_artists), float32
        Row u holds what artist u adds to others' scores, mapped, columns sorted.

    Raises
    ------
    BadInputError
        If there are more than `MAX_SIDE` users and artists, the weights take too long, or lambda is too small to invert.
    """
    # Before BLAS is limited to one thread, which holds for what is loaded by then: SciPy has a BLAS of its own.
    import scipy.linalg.lapack  # noqa: F401

    _refuse_too_large(train.shape, train.nnz)
    n_artists = train.shape[1]
    kept = min(n_weights or weights_of_each(n_artists), n_artists - 1)
    indices = create_array(run.folder / "sources.npy", (n_artists * kept,), np.int32)
    values = create_array(run.folder / "values.npy", (n_artists * kept,), np.float32)
    with threadpoolctl.threadpool_limits(1, "blas"):
        weights_of = _solved(train, run, regularization)

        def work(block: tuple[int, int]) -> None:
            _keep_largest(weights_of(*block), block[0], kept, indices, values)

        size = max(1, BLOCK_VALUES // max(train.shape))
        blocks = ((start, min(start + size, n_artists)) for start in range(0, n_artists, size))
        run.over_artists(work, blocks, n_artists)
    ends = np.arange(n_artists + 1, dtype=np.int64) * kept
    by_target = csr_of((n_artists, n_artists), ends.astype(index_type(ends[-1])), indices, values)
    (run.folder / "by_source").mkdir()
    sources = count_columns(indices, n_artists)
    result: csr_matrix = transpose_on_disk(by_target, sources, run.folder / "by_source", run.range_nnz)
    return result


def _refuse_too_large(shape: tuple[int, int], nnz: int) -> None:
    if has_room(shape, nnz):
        return
    side, products = min(shape), _products(shape, nnz)
    if side > MAX_SIDE:
        msg = (
            f"EASE inverts a matrix of users or artists, whichever are fewer: {side:,} here, {4 * side**2:,} bytes,"
            f" at most {MAX_SIDE:,} ({4 * MAX_SIDE**2:,} bytes): use neighbours"
        )
    else:
        msg = (
            f"EASE takes {products:,} multiplications for {shape[1]:,} artists and {nnz:,} interactions, at most"
            f" {MAX_PRODUCTS:,} are allowed: use neighbours"
        )
    raise BadInputError(msg)


def _solved(train: csr_matrix, run: FitRun, regularization: float) -> Callable[[int, int], Matrix]:
    """Invert the smaller matrix; return a function that gives the weights for a range of artists."""
    n_users, n_artists = train.shape
    weights = _weighted(train, run.folder)
    (run.folder / "item_users").mkdir()
    counts = count_columns(train.indices, n_artists)
    item_users = transpose_on_disk(weights, counts, run.folder / "item_users", run.range_nnz)
    if n_users <= n_artists:
        return partial(_dual, item_users, inverse_of(weights, item_users, regularization, run.folder))
    return partial(_primal, inverse_of(item_users, weights, regularization, run.folder))


def _weighted(train: csr_matrix, folder: Path) -> csr_matrix:
    """Return ln(1 + plays) over its root mean square, values mapped."""
    data = create_array(folder / "weights.npy", train.data.shape, np.float32)
    total = 0.0
    blocks = [slice(int(train.indptr[a]), int(train.indptr[b])) for a, b in row_blocks(train.indptr)]
    for part in blocks:
        data[part] = np.log1p(train.data[part])
        total += float(np.square(data[part], dtype=np.float64).sum())
    scale = np.float32(np.sqrt(len(data) / total)) if total else np.float32(1)
    for part in blocks:
        data[part] *= scale
    result: csr_matrix = csr_of(train.shape, train.indptr, train.indices, data)
    return result


def inverse_of(rows: csr_matrix, transposed: csr_matrix, regularization: float, folder: Path) -> Matrix:
    """Return (A A^T + lambda I)^-1 of a sparse A, symmetric, mapped; `transposed` is A^T."""
    from scipy.linalg import lapack

    n = rows.shape[0]
    matrix = create_array(folder / "inverse.npy", (n, n), np.float32)
    reach = np.full(n, n, np.int64)
    for start, end in row_blocks(ends_of(reach), BLOCK_VALUES):
        matrix[start:end] = (rows[start:end] @ transposed).toarray()
        matrix[np.arange(start, end), np.arange(start, end)] += np.float32(regularization)
    # In columns' order the file is the same symmetric matrix, and LAPACK works on it in place.
    in_place = np.asarray(matrix).T
    for step, overwrite in ((lapack.spotrf, "overwrite_a"), (lapack.spotri, "overwrite_c")):
        in_place, info = step(in_place, lower=1, **{overwrite: 1})
        if info:
            msg = f"EASE can't be computed with a regularization of {regularization:g}: raise it"
            raise BadInputError(msg)
    # The lower triangle by columns is the upper one by rows: copy it below the diagonal, block by block.
    for start, end in row_blocks(ends_of(reach), BLOCK_VALUES):
        matrix[start:end, :start] = matrix[:start, start:end].T
        square = matrix[start:end, start:end]
        square[...] = np.triu(square) + np.triu(square, 1).T
    return np.asarray(matrix)


def _dual(item_users: csr_matrix, inverse: Matrix, start: int, end: int) -> Matrix:
    """Return the weights of all artists for those from `start` to `end`, shape (n, n_artists), by users' inverse."""
    products = np.ascontiguousarray((item_users[start:end] @ inverse).T)
    block = np.ascontiguousarray((item_users @ products).T)
    block /= 1 - block[np.arange(end - start), np.arange(start, end)][:, None]
    return block


def _primal(inverse: Matrix, start: int, end: int) -> Matrix:
    """Return the weights of all artists for those from `start` to `end`, shape (n, n_artists), by artists' inverse."""
    diagonal = inverse[np.arange(start, end), np.arange(start, end)]
    return np.asarray(-inverse[start:end] / diagonal[:, None])


def _keep_largest(
    block: Matrix, start: int, kept: int, indices: npt.NDArray[np.int32], values: Matrix
) -> None:
    """Write each row's largest weights, by size, to its place; columns sorted."""
    sizes = np.abs(block)
    # An artist adds nothing to its own score: below every other, so that it is not found.
    sizes[np.arange(len(block)), np.arange(start, start + len(block))] = -1
    for row, weights in enumerate(block):
        chosen = places_of_largest(sizes[row], kept)
        place = slice((start + row) * kept, (start + row + 1) * kept)
        indices[place], values[place] = chosen, weights[chosen]

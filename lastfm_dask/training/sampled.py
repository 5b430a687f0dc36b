"""What item weights would score on a sample, exactly, without a matrix of artists by artists.

Cosine neighbours follow from the lists; EASE follows from the inverse of the smaller Gram matrix, users' or artists', a
mapped file: with C = (X X^T + lambda I)^-1 the score of an artist that a list x lacks is x X^T C X over 1 - diag(X^T C X).
For the sample's own lists X X^T C is I - lambda C, so no product of dense matrices is needed.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.training import ease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Floats = npt.NDArray[np.float32]
    Rows = npt.NDArray[np.int64]
    Scores = Callable[[Rows], Floats]

BLOCK_ARTISTS = 1 << 7
"""Artists whose part of the diagonal is computed at once."""


def log_plays(plays: csr_matrix) -> csr_matrix:
    """Return ln(1 + plays)."""
    found = plays.copy()
    found.data = np.log1p(found.data)
    return found


def cosine(plays: csr_matrix) -> Scores:
    """Return what scores rows by the cosines of artists' columns, which are never multiplied out."""
    weights = log_plays(plays)
    squares = np.square(weights.data, dtype=np.float64)
    lengths = np.sqrt(np.bincount(weights.indices, squares, weights.shape[1]))
    unit = weights.copy()
    unit.data = (unit.data / lengths[unit.indices]).astype(np.float32)
    turned = unit.T.tocsr()
    return lambda rows: _product((weights[rows] @ turned).toarray(), turned)


def _product(lists: Floats, turned: csr_matrix) -> Floats:
    """Return dense rows times a sparse matrix, whose transpose is given; rows are contiguous."""
    return np.ascontiguousarray((turned @ np.ascontiguousarray(lists.T)).T)


@contextmanager
def by_ease(plays: csr_matrix, strength: float, folder: Path) -> Iterator[Scores]:
    """Give what scores rows by EASE, until the block ends; its file in `folder`, which is made, goes then."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    weights = log_plays(plays)
    weights.data /= np.float32(np.sqrt(np.mean(np.square(weights.data, dtype=np.float64))))
    turned = weights.T.tocsr()
    by_users = plays.shape[0] <= plays.shape[1]
    inverse = ease.inverse_of(*((weights, turned) if by_users else (turned, weights)), strength, folder)
    diagonal = _diagonal(turned, inverse) if by_users else np.diagonal(inverse).copy()

    def dual(rows: Rows) -> Floats:
        lists = inverse[rows] * np.float32(-strength)
        lists[np.arange(len(rows)), rows] += 1
        found = _product(lists, turned)
        found /= 1 - diagonal
        return found

    def primal(rows: Rows) -> Floats:
        return np.asarray(-(weights[rows] @ inverse) / diagonal, np.float32)

    yield dual if by_users else primal
    shutil.rmtree(folder, ignore_errors=True)


def _diagonal(item_users: csr_matrix, inverse: Floats) -> Floats:
    """Return the diagonal of X^T C X, shape (n_artists,)."""
    found = np.empty(item_users.shape[0], np.float32)
    for start in range(0, len(found), BLOCK_ARTISTS):
        lists = item_users[start : start + BLOCK_ARTISTS]
        products = np.asarray(lists @ inverse)
        found[start : start + lists.shape[0]] = np.asarray(lists.multiply(products).sum(axis=1)).ravel()
    return found

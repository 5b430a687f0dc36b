"""Item neighbours: the artists whose listeners an artist shares, computed in blocks, kept in files.

One sparse matrix of weights W, artists by artists: a user's score for an artist is the sum of ln(1 + plays) W[u, i] over
the user's artists u. Here W holds cosines; `ease` gives another. Both are deterministic, and neither lies in memory.

The work grows with the squares of list lengths, so of a longer list `MAX_LIST` artists, drawn at random, count: the
interaction cut of Schelter, Boden, Markl 2012, "Scalable similarity-based neighborhood methods with MapReduce".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from lastfm_dask.dataset.arrays import create_array, index_type, row_blocks
from lastfm_dask.dataset.matrix import csr_of, transpose_on_disk
from lastfm_dask.training.largest import kth_largest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lastfm_dask.training.fit_run import FitRun

PRODUCT_NNZ = 1 << 18
"""Similarities that a product may hold, on each thread, unless one artist has more."""
N_NEIGHBOURS = 200
"""Others that are kept of each artist."""
MAX_LIST = 1 << 12
"""Artists of a user that count."""


def nearest(
    indices: npt.NDArray[Any], scores: npt.NDArray[Any], k: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the `k` best-scored indices and their scores, the best first; ties go to the smaller index."""
    if len(scores) > k:
        # The k-th score, and all that equal it, so that the choice among equals is the smaller index.
        kept = scores >= kth_largest(scores, k)
        indices, scores = indices[kept], scores[kept]
    order = np.lexsort((indices, -scores))[:k]
    return indices[order], scores[order]


def ends_of(lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return where rows of these lengths begin and end when they are laid end to end, as CSR's indptr."""
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def fit_neighbours(train: csr_matrix, run: FitRun, *, n_neighbours: int = N_NEIGHBOURS) -> csr_matrix:
    """Find each artist's nearest others: cosine of the columns of ln(1 + plays), lists cut to `MAX_LIST` artists.

    Parameters
    ----------
    train : csr_matrix, shape (n_users, n_artists), float32
        The plays; columns sorted.
    run : FitRun
        How the fit goes.
    n_neighbours : int
        Others kept for each artist.

    Returns
    -------
    csr_matrix, shape (n_artists, n_artists), float32
        Row i holds the cosines of artist i's nearest others, mapped.
    """
    n_artists = train.shape[1]
    train = _cut(train, run.folder)
    unit, listeners = _unit_columns(train, run.folder)
    item_users = transpose_on_disk(unit, listeners, run.folder, run.range_nnz)
    reach = _reach(item_users, np.diff(train.indptr), n_artists)
    room = ends_of(np.minimum(reach, n_neighbours))
    kind = index_type(room[-1])
    # Plain views of the maps: a map looks at each slice of itself, millions of times here.
    indices = np.asarray(create_array(run.folder / "neighbours.npy", (int(room[-1]),), kind))
    similarities = np.asarray(create_array(run.folder / "similarities.npy", (int(room[-1]),), np.float32))
    item_users, unit = _plain(item_users), _plain(unit)

    def work(block: tuple[int, int]) -> None:
        first, last = block
        product = item_users[first:last] @ unit
        for i in range(last - first):
            part = slice(*product.indptr[i : i + 2])
            others = product.indices[part] != first + i
            found, values = nearest(product.indices[part][others], product.data[part][others], n_neighbours)
            # What is left of the row's room keeps index 0 with similarity 0, which adds nothing to a sum.
            indices[room[first + i] : room[first + i] + len(found)] = found
            similarities[room[first + i] : room[first + i] + len(found)] = values

    # A block reads its artists' columns and holds its product: both are bounded.
    bound = ends_of(np.maximum(reach, listeners))
    run.over_artists(work, row_blocks(bound, PRODUCT_NNZ), n_artists)
    result = csr_matrix((n_artists, n_artists), dtype=np.float32)
    # Not `csr_of`: a row is ordered by similarity, and its spare room may repeat index 0.
    result.indptr, result.indices, result.data = room.astype(kind), indices, similarities
    return result


def _plain(matrix: csr_matrix) -> csr_matrix:
    """Return a matrix over plain views of its maps; products take their arrays' type from it."""
    indptr, indices, data = map(np.asarray, (matrix.indptr, matrix.indices, matrix.data))
    result: csr_matrix = csr_of(matrix.shape, indptr, indices, data)
    return result


def _cut(train: csr_matrix, folder: Path) -> csr_matrix:
    """Return plays with `MAX_LIST` artists of each longer list, drawn at random by the user's row; the rest is mapped."""
    lengths = np.diff(train.indptr)
    if lengths.max(initial=0) <= MAX_LIST:
        return train
    ends = ends_of(np.minimum(lengths, MAX_LIST))
    indices = create_array(folder / "cut_indices.npy", (int(ends[-1]),), train.indices.dtype)
    data = create_array(folder / "cut_data.npy", (int(ends[-1]),), train.data.dtype)
    first = 0
    # Between two long lists all is copied as it is.
    for row in [*np.flatnonzero(lengths > MAX_LIST).tolist(), len(lengths)]:
        for start, end in row_blocks(train.indptr[first : row + 1]):
            part = slice(int(train.indptr[first + start]), int(train.indptr[first + end]))
            place = slice(int(ends[first + start]), int(ends[first + end]))
            indices[place], data[place] = train.indices[part], train.data[part]
        if row < len(lengths):
            rng = np.random.default_rng(row)
            chosen = np.sort(rng.choice(int(lengths[row]), MAX_LIST, replace=False, shuffle=False))
            chosen += int(train.indptr[row])
            place = slice(int(ends[row]), int(ends[row + 1]))
            indices[place], data[place] = train.indices[chosen], train.data[chosen]
        first = row + 1
    result: csr_matrix = csr_of(train.shape, ends.astype(train.indptr.dtype), indices, data)
    return result


def _unit_columns(train: csr_matrix, folder: Path) -> tuple[csr_matrix, npt.NDArray[np.int64]]:
    """Return ln(1 + plays) with columns of length 1, its values mapped, and the values in each column."""
    squares = np.zeros(train.shape[1])
    listeners = np.zeros(train.shape[1], np.int64)
    blocks = list(row_blocks(train.indptr))
    for part in (slice(train.indptr[first], train.indptr[last]) for first, last in blocks):
        columns = train.indices[part]
        squares += np.bincount(
            columns, np.log1p(train.data[part], dtype=np.float64) ** 2, minlength=len(squares)
        )
        listeners += np.bincount(columns, minlength=len(listeners))
    data = create_array(folder / "unit.npy", train.data.shape, np.float32)
    for part in (slice(train.indptr[first], train.indptr[last]) for first, last in blocks):
        data[part] = np.log1p(train.data[part]) / np.sqrt(squares[train.indices[part]])
    return csr_of(train.shape, train.indptr, train.indices, data), listeners


def _reach(item_users: csr_matrix, lengths: npt.NDArray[np.integer], n_artists: int) -> npt.NDArray[np.int64]:
    """Return an upper bound of the artists that share a listener with each artist: its listeners' lists laid end to end."""
    reach = np.zeros(item_users.shape[0], np.int64)
    for first, last in row_blocks(item_users.indptr):
        part = slice(item_users.indptr[first], item_users.indptr[last])
        ends = np.concatenate(([0], np.cumsum(lengths[item_users.indices[part]], dtype=np.int64)))
        reach[first:last] = np.diff(ends[item_users.indptr[first : last + 1] - item_users.indptr[first]])
    return np.minimum(reach, n_artists)

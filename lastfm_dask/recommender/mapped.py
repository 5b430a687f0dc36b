"""Matrices that live in files, and a CSR that shows implicit a matrix and its transpose without copying.

Arrays are mapped from `.npy`; the transpose is made out of core. Knows nothing of weights or of training's stages.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from lastfm_dask.recommender.weighting import BLOCK_NNZ

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

RANGE_NNZ = 1 << 22
"""How many stored values the transpose holds in memory at once, unless one column alone has more."""


class MappedArray(np.memmap):
    """A memory map whose `astype` to its own type is itself.

    implicit asks for float32 in each half-iteration, and a copy of all values, made each time, is what a small
    pod has no room for.
    """

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Return this very array where the type is right already, else a copy."""
        return self if np.dtype(dtype) == self.dtype else super().astype(dtype, *args, **kwargs)


class MappedCsr(csr_matrix):  # type: ignore[misc]
    """A csr_matrix over mapped arrays that knows its transpose: `.T.tocsr()` costs nothing.

    `fit` would build the transpose in memory, 140 MB at full size.
    """

    transposed: MappedCsr

    def transpose(self, axes: Any = None, copy: bool = False) -> MappedCsr:  # noqa: ARG002
        """Return the transpose that was made before, as CSR."""
        return self.transposed

    def tocsr(self, copy: bool = False) -> MappedCsr:  # noqa: ARG002
        """Return this matrix."""
        return self


def mapped_pair(user_items: csr_matrix, item_users: csr_matrix) -> MappedCsr:
    """Return `user_items` as a matrix whose transpose is `item_users`; no values are copied or checked."""
    first, second = _wrapped(user_items), _wrapped(item_users)
    first.transposed, second.transposed = second, first
    return first


def _wrapped(matrix: csr_matrix) -> MappedCsr:
    wrapped = MappedCsr(matrix.shape, dtype=np.float32)
    wrapped.indptr, wrapped.indices = matrix.indptr, matrix.indices
    wrapped.data = matrix.data.view(MappedArray)
    wrapped.has_sorted_indices = wrapped.has_canonical_format = True
    return wrapped


def create_array(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.memmap[Any, Any]:
    """Create an `.npy` file and return its map, writable and written back (mode "w+").

    The file has all its room on disk before it is mapped: a disk that fills up later would kill the process.

    Raises
    ------
    OSError
        Where the disk has no room for it.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, array.offset + array.nbytes)
    return array


def column_ranges(indptr: npt.NDArray[np.integer], range_nnz: int) -> list[tuple[int, int]]:
    """Cut columns into ranges of at most `range_nnz` stored values (one column at least); pure."""
    from lastfm_dask.recommender.weighting import row_blocks

    return list(row_blocks(indptr, range_nnz))


def transpose_on_disk(
    user_items: csr_matrix, listeners: npt.NDArray[np.int64], folder: Path, range_nnz: int = RANGE_NNZ
) -> csr_matrix:
    """Write the transpose of a mapped CSR matrix to `folder` and return it, mapped.

    Columns are taken in ranges that fit in memory. For each range the matrix is read once, in order; what falls
    into the range is sorted by column (a counting sort, in scipy) and written in one piece, so that neither
    memory nor the page cache is asked for more than one range.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists), float32
        Columns sorted in each row.
    listeners : int64, shape (n_artists,)
        Stored values by column.
    folder : Path
        An existing folder for `indptr.npy`, `indices.npy` and `data.npy`.
    range_nnz : int
        Stored values that are held at once.

    Returns
    -------
    csr_matrix, shape (n_artists, n_users), float32
        Columns sorted in each row: the very arrays that `user_items.T.tocsr()` has.
    """
    n_users, n_artists = user_items.shape
    kind, nnz = user_items.indices.dtype, len(user_items.indices)
    indptr = create_array(folder / "indptr.npy", (n_artists + 1,), kind)
    indptr[0] = 0
    np.cumsum(listeners, out=indptr[1:])
    indices = create_array(folder / "indices.npy", (nnz,), kind)
    data = create_array(folder / "data.npy", (nnz,), np.float32)
    for first, end in column_ranges(indptr, range_nnz):
        start, stop = int(indptr[first]), int(indptr[end])
        if start < stop:
            _write_range(user_items, (first, end), indices[start:stop], data[start:stop])
    result = csr_matrix((n_artists, n_users), dtype=np.float32)
    result.indptr, result.indices, result.data = indptr, indices, data
    result.has_sorted_indices = result.has_canonical_format = True
    return result


def _write_range(
    matrix: csr_matrix,
    columns: tuple[int, int],
    indices: npt.NDArray[np.integer],
    data: npt.NDArray[np.float32],
) -> None:
    """Write one range of columns to its place; what was gathered is gone when this returns."""
    part = _columns(matrix, *columns, len(indices)).tocsc()
    indices[...] = part.indices
    data[...] = part.data


def _columns(matrix: csr_matrix, first: int, end: int, n_values: int) -> csr_matrix:
    """Return the columns from `first` up to `end`, in memory, as a CSR of all rows; read in blocks."""
    kind = matrix.indices.dtype
    columns, values = np.empty(n_values, kind), np.empty(n_values, np.float32)
    indptr = np.zeros(len(matrix.indptr), kind)
    filled = 0
    nnz = len(matrix.indices)
    row = 1
    for start in range(0, nnz, BLOCK_NNZ):
        block = matrix.indices[start : start + BLOCK_NNZ]
        inside = np.flatnonzero((block >= first) & (block < end))
        stop = filled + len(inside)
        np.subtract(block[inside], first, out=columns[filled:stop])
        values[filled:stop] = matrix.data[start : start + BLOCK_NNZ][inside]
        # The rows that end in this block: how many of the found values lie before each end.
        last = int(np.searchsorted(matrix.indptr, start + len(block), side="right"))
        indptr[row:last] = filled + np.searchsorted(inside, matrix.indptr[row:last] - start)
        row, filled = max(row, last), stop
    part = csr_matrix((len(indptr) - 1, end - first), dtype=np.float32)
    part.indptr, part.indices, part.data = indptr, columns, values
    part.has_canonical_format = True
    return part

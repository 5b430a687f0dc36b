"""CSR matrices over mapped files: one constructor, the transpose made out of core, and a pair that implicit takes.

Importing this imports SciPy; `arrays` needs only NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from lastfm_dask.dataset import arrays, layout
from lastfm_dask.dataset.arrays import MappedArray, create_array, row_blocks
from lastfm_dask.dataset.opening import check_csr, open_csr

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

RANGE_NNZ = 1 << 22
"""How many stored values the transpose holds in memory at once, unless a single column has more."""
MIN_RANGE_NNZ = 1 << 18


def csr_of(
    shape: tuple[int, int],
    indptr: npt.NDArray[np.integer],
    indices: npt.NDArray[np.integer],
    data: npt.NDArray[Any],
    kind: type[csr_matrix] = csr_matrix,
) -> Any:
    """Return a CSR matrix over these very arrays; nothing is read, copied or checked.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    indptr, indices : integers, shapes (rows + 1,) and (nnz,)
        Of one type; columns sorted in each row, none twice.
    data : shape (nnz,)
        The values; their type is the matrix's.
    kind : type
        `csr_matrix` or a subclass.
    """
    matrix = kind(shape, dtype=data.dtype)
    # Assigned, not passed: the constructor would read every index to check it, and may copy.
    matrix.indptr, matrix.indices, matrix.data = indptr, indices, data
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


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
    data = matrix.data.view(MappedArray)
    wrapped: MappedCsr = csr_of(matrix.shape, matrix.indptr, matrix.indices, data, MappedCsr)
    return wrapped


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
    for first, end in row_blocks(indptr, range_nnz):
        start, stop = int(indptr[first]), int(indptr[end])
        if start < stop:
            _write_range(user_items, (first, end), indices[start:stop], data[start:stop])
    return csr_of((n_artists, n_users), indptr, indices, data)


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
    for start in range(0, nnz, arrays.BLOCK_NNZ):
        block = matrix.indices[start : start + arrays.BLOCK_NNZ]
        # Of the row pointer's own type, so that the search below copies neither.
        inside = np.flatnonzero((block >= first) & (block < end)).astype(kind)
        stop = filled + len(inside)
        np.subtract(block[inside], first, out=columns[filled:stop])
        values[filled:stop] = matrix.data[start : start + arrays.BLOCK_NNZ][inside]
        # The rows that end in this block: how many of the found values lie before each end.
        last = int(np.searchsorted(matrix.indptr, start + len(block), side="right"))
        indptr[row:last] = np.searchsorted(inside, matrix.indptr[row:last] - start)
        indptr[row:last] += filled
        row, filled = max(row, last), stop
    return csr_of((len(indptr) - 1, end - first), indptr, columns, values)


def open_user_items(
    path: Path, shape: tuple[int, int], nnz: int | None = None, *, check: bool = False
) -> csr_matrix:
    """Return the memory-mapped matrix of a dataset or model directory.

    The maps are copy-on-write (mode "c"): writable, as implicit asks, and never written back.

    Parameters
    ----------
    path : Path
        The directory.
    shape : tuple of int
        Rows and columns.
    nnz : int, optional
        Stored values, where they are known.
    check : bool
        Whether all values are looked through, as native code needs: one pass over the files.

    Raises
    ------
    StoreError
        If a file is not what it should be.
    """
    files = [path / name for name in layout.USER_ITEMS]
    csr = open_csr(files, shape[0], nnz, "c")
    if check:
        check_csr(files, csr, shape[1])
    matrix: csr_matrix = csr_of(shape, *csr)
    return matrix

"""Arrays that live in `.npy` files, and the ranges of rows that are worked on at once. Needs only NumPy."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

BLOCK_NNZ = 1 << 20
"""How many stored values a block holds at most, unless a single row has more."""
BLOCK_VALUES = 1 << 20
"""How many values of a dense array are worked on at once, unless a single row has more."""


def index_type(n: int) -> type[np.signedinteger[Any]]:
    """Return the type of a CSR matrix's indices and row pointer for `n` stored values."""
    return np.int32 if n < 1 << 31 else np.int64


def row_blocks(indptr: npt.NDArray[np.integer], block_nnz: int = BLOCK_NNZ) -> Iterator[tuple[int, int]]:
    """Cut rows into consecutive ranges of at most `block_nnz` stored values (one row at least).

    Parameters
    ----------
    indptr : integers, shape (n_rows + 1,)
        The row pointer of a CSR matrix.
    block_nnz : int
        Stored values a range holds at most, unless its only row has more.

    Yields
    ------
    tuple of int
        First row and the row after the last; together they cover all rows once, in order.
    """
    n_rows = len(indptr) - 1
    start = 0
    while start < n_rows:
        end = int(np.searchsorted(indptr, int(indptr[start]) + block_nnz, side="right")) - 1
        end = min(max(end, start + 1), n_rows)
        yield start, end
        start = end


def dense_blocks(array: npt.NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Cut the rows of a dense array into consecutive ranges of at most `BLOCK_VALUES` values (one row at least)."""
    rows = max(1, BLOCK_VALUES // array.shape[1])
    for start in range(0, len(array), rows):
        yield start, min(start + rows, len(array))


class MappedArray(np.memmap):
    """A memory map whose `astype` to its own type is itself.

    implicit asks for float32 in each half-iteration, and a copy of all values, made each time, is what a small
    pod has no room for.
    """

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Return this very array where the type is right already, else a copy."""
        return self if np.dtype(dtype) == self.dtype else super().astype(dtype, *args, **kwargs)


def create_array(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.memmap[Any, Any]:
    """Create an `.npy` file and return its map, writable and written back (mode "w+").

    The file has all its room on disk before it is mapped: a disk that fills up later would kill the process.

    Raises
    ------
    OSError
        If the disk has no room for it.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, array.offset + array.nbytes)
    return array


def set_header(path: Path, dtype: np.dtype[Any], n: int) -> None:
    """Give an `.npy` file of one dimension another type of the same size, or fewer elements."""
    with path.open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        header_bytes = file.tell()
        header = io.BytesIO()
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (n,)}
        np.lib.format.write_array_header_1_0(header, described)
        if header.tell() != header_bytes:
            msg = f"the header of {path} has {header_bytes} bytes and would need {header.tell()}"
            raise RuntimeError(msg)
        file.seek(0)
        file.write(header.getvalue())
        file.truncate(header_bytes + n * dtype.itemsize)

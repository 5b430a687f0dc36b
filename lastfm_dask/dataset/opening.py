"""Files of a directory, opened only if they match its manifest; damage is a StoreError.

Needs only NumPy. Nothing here trusts a file: a header is compared before anything is mapped, no pickle is ever
loaded, and a matrix that native code will walk is looked through once.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset.arrays import BLOCK_NNZ
from lastfm_dask.errors import LastfmDaskError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Csr = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32]]

INDEX = ("<i4", "<i8")
FLOAT32 = ("<f4",)
_OF_THE_SYSTEM = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)


def damaged(file: Path, problem: object) -> StoreError:
    """Return the error for a file that is not what it should be."""
    return StoreError(f"{file} is damaged: {problem}; build the directory again", path=str(file))


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn any error of a library that can't read a file into a StoreError that names the file."""
    try:
        yield
    except (LastfmDaskError, MemoryError):
        raise
    except Exception as error:
        # Parsers of damaged bytes raise anything: SyntaxError, TokenError, ArrowInvalid, UnicodeDecodeError, …
        if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
            raise
        if isinstance(error, PermissionError):
            msg = f"{file} can't be read: {error.strerror}; let this user read it"
            raise StoreError(msg, path=str(file)) from error
        problem = " ".join(str(error).split())[:200] or type(error).__name__
        raise damaged(file, f"it can't be read ({problem})") from error


def open_array(file: Path, shape: Sequence[int | None], dtypes: Sequence[str], mode: Any = "r") -> Any:
    """Return an `.npy` file as a map, its header checked first.

    Parameters
    ----------
    file : Path
    shape : sequence of int or None
        What it must be; None for a length that is not known.
    dtypes : sequence of str
        The types that it may have.
    mode : str
        Of the map: "r", or "c" for one that can be written and never reaches the file.

    Raises
    ------
    StoreError
        If it is something else.
    """
    with reading(file):
        with file.open("rb") as opened:
            version = np.lib.format.read_magic(opened)
            if version != (1, 0):
                raise damaged(file, f"its header has version {version}, not (1, 0)")
            found, by_columns, dtype = np.lib.format.read_array_header_1_0(opened)
            start, size = opened.tell(), opened.seek(0, 2)
        fits = len(found) == len(shape) and all(
            want is None or have == want for have, want in zip(found, shape, strict=True)
        )
        if not fits or dtype.str not in dtypes or (by_columns and len(found) > 1):
            wanted = (
                f"{' or '.join(dtypes)} of shape ({', '.join('any' if n is None else str(n) for n in shape)})"
            )
            raise damaged(file, f"it holds {dtype.str} of shape {found}, not {wanted} by rows")
        n_bytes = dtype.itemsize * int(np.prod(found, dtype=object))
        if size - start != n_bytes:
            raise damaged(file, f"it has {size - start} bytes of values, not {n_bytes}")
        return np.load(file, mmap_mode=mode, allow_pickle=False)


def open_csr(files: Sequence[Path], n_rows: int, nnz: int | None, mode: Any = "r") -> Csr:
    """Return indptr, indices and data of a matrix as maps, their headers compared and their lengths with each other."""
    indptr = open_array(files[0], (n_rows + 1,), INDEX, mode)
    indices = open_array(files[1], (nnz,), (indptr.dtype.str,), mode)
    data = open_array(files[2], (len(indices),), FLOAT32, mode)
    return indptr, indices, data


def check_csr(files: Sequence[Path], csr: Csr, n_columns: int, *, of_plays: bool = True) -> None:
    """Look through a matrix once, block by block: what native code would trip over raises StoreError.

    Row bounds rise from 0 to the number of values, columns are in range, values are finite. With `of_plays`, columns
    rise within a row and values are above zero.
    """
    indptr, indices, data = csr
    nnz = len(indices)
    for start in range(0, len(indptr), BLOCK_NNZ):
        bounds = indptr[start : start + BLOCK_NNZ + 1]
        if bool((bounds[1:] < bounds[:-1]).any()):
            raise damaged(files[0], f"row bounds fall after row {start}")
    if int(indptr[0]) != 0 or int(indptr[-1]) != nnz:
        raise damaged(
            files[0], f"row bounds go from {int(indptr[0])} to {int(indptr[-1])}, not from 0 to {nnz}"
        )
    for start in range(0, nnz, BLOCK_NNZ):
        # With the value before, so that what falls between two blocks is seen.
        first = max(start - 1, 0)
        columns = indices[first : start + BLOCK_NNZ]
        if int(columns.min()) < 0 or int(columns.max()) >= n_columns:
            raise damaged(files[1], f"a column after value {first} is not within 0 to {n_columns - 1}")
        _check_values(files[2], data[start : start + BLOCK_NNZ], start, of_plays)
        if not of_plays:
            continue
        falls = np.flatnonzero(columns[1:] <= columns[:-1]) + first + 1
        if not np.array_equal(indptr[np.searchsorted(indptr, falls)], falls):
            raise damaged(files[1], f"columns of a row after value {first} are not in order")


def _check_values(file: Path, values: npt.NDArray[np.floating], start: int, above_zero: bool) -> None:
    if not bool(np.isfinite(values).all()) or (above_zero and not bool((values > 0).all())):
        raise damaged(
            file, f"values after {start} are not {'above zero and finite' if above_zero else 'finite'}"
        )


def check_finite(file: Path, array: npt.NDArray[np.floating]) -> None:
    """Look through an array once, block by block: NaN or an infinite value raises StoreError."""
    flat = array.reshape(-1)
    for start in range(0, len(flat), BLOCK_NNZ):
        if not bool(np.isfinite(flat[start : start + BLOCK_NNZ]).all()):
            raise damaged(file, f"a value after {start} is not a finite number")


def checked_row(
    files: Sequence[Path], csr: Csr, row: int, n_columns: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Return the columns and plays of one row; raises StoreError if they are not what `check_csr` wants."""
    indptr, indices, data = csr
    start, end = int(indptr[row]), int(indptr[row + 1])
    if not 0 <= start <= end <= len(indices):
        raise damaged(files[0], f"row {row} goes from {start} to {end} of {len(indices)} values")
    columns, plays = indices[start:end], data[start:end]
    if len(columns):
        bounds = np.array([0, len(columns)])
        check_csr(files, (bounds, columns, plays), n_columns)
    return columns, plays

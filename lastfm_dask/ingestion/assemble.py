"""Stage assemble: write the CSR matrix to disk block by block, then sort and sum it row by row.

First the rows of every block are written to the places that the raw row counts give them. Then chunks of whole
rows are sorted by column, and equal columns are summed. The arrays are the dataset's own files, mapped. `data.npy`
holds int32 plays until a chunk is done, and float32 afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import set_header
from lastfm_dask.engine.threads import for_each
from lastfm_dask.ingestion import long_rows
from lastfm_dask.ingestion.listens import Listens
from lastfm_dask.ingestion.placing import place_rows
from lastfm_dask.ingestion.summed import SummedRows
from lastfm_dask.interactions.schema import MAX_PLAYS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.spool import Blocks

CHUNK_ROWS = 1 << 17
"""Rows that a thread sorts at once where memory allows it."""
MIN_CHUNK_ROWS = 1 << 14
_PLAYS_BITS = MAX_PLAYS.bit_length()


@dataclass(frozen=True, slots=True)
class Assembled:
    """What the assemble stage found.

    Attributes
    ----------
    nnz : int
        Stored values: distinct pairs of user and artist.
    median_plays : ndarray, shape (n_users,), float64
        Median plays of each user's rows, before duplicates are summed.
    user_rows, artist_rows : ndarray, shapes (n_users,) and (n_artists,), int64
        Rows of each user and artist.
    played_once : int
        Rows with one play.

    For events, a row is a pair of user and artist with all of its listens.
    """

    nnz: int
    median_plays: npt.NDArray[np.float64]
    user_rows: npt.NDArray[np.int64]
    artist_rows: npt.NDArray[np.int64]
    played_once: int


@dataclass(frozen=True, slots=True)
class Csr:
    """The matrix while it is built: raw row bounds in memory, the two large arrays mapped."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[Any]
    data: npt.NDArray[np.int32]
    n_artists: int
    summed: SummedRows
    """Collects rows that are summed; unused for events, where every row counts one play."""
    is_real: bool = False
    """Whether plays are stored as the bits of float32."""
    events: bool = False
    listens: Listens | None = None

    @property
    def sums_exactly(self) -> bool:
        """Whether sums do not depend on the order of rows, and no times go with them."""
        return not self.is_real and self.listens is None


def assemble(
    found: Index,
    spool: Blocks,
    output: Path,
    *,
    chunk_rows: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> Assembled:
    """Write `user_items/{indptr,indices,data}.npy` of a dataset.

    Parameters
    ----------
    found : Index
        The ids, and the raw row counts by user.
    spool : Spool
        The encoded blocks.
    output : Path
        The folder of the dataset under work.
    chunk_rows : int
        Rows of the source that a thread sorts at once; a user with more rows is a chunk of their own.
    threads : int
        How many chunks are worked on at once. The bytes do not depend on it.
    progress : callable, optional
        Called with the rows placed or sorted since the last call; every row counts twice.
    """
    csr = _create(found, output)
    report = progress or (lambda _: None)
    place_rows(found, spool, csr, threads, report)
    lengths, medians = _sort_rows(csr, chunk_rows, threads, report)
    csr.summed.write(output / layout.SUMMED)
    nnz = int(lengths.sum())
    if nnz < len(csr.data):
        _close_gaps(csr, lengths, chunk_rows)
    assembled = Assembled(nnz, medians, found.users.rows, found.artists.rows, found.played_once)
    if found.events:
        assembled = _over_pairs(csr, nnz, medians, lengths, chunk_rows)
    kind = csr.indices.dtype
    # The files can be truncated once they are no longer mapped.
    del csr
    _finish(output, lengths, kind, with_times=found.with_time)
    return assembled


def _create(found: Index, output: Path) -> Csr:
    """Create the matrix's files, with room for all rows of the source."""
    import numpy as np

    from lastfm_dask.dataset.arrays import create_array, index_type

    indptr = np.zeros(len(found.users) + 1, np.int64)
    np.cumsum(found.users.rows, out=indptr[1:])
    n_rows = int(indptr[-1])
    (output / layout.INDICES).parent.mkdir()
    column_bits = max(len(found.artists) - 1, 1).bit_length()
    return Csr(
        indptr,
        create_array(output / layout.INDICES, (n_rows,), index_type(n_rows)),
        create_array(output / layout.DATA, (n_rows,), np.int32),
        len(found.artists),
        SummedRows(found.folder, column_bits, is_real=found.is_real),
        found.is_real,
        found.events,
        Listens.create(output, n_rows) if found.with_time else None,
    )


def _finish(output: Path, lengths: npt.NDArray[np.int64], kind: np.dtype[Any], *, with_times: bool) -> None:
    """Cut the files to what is stored, and write the row pointer."""
    import numpy as np

    indptr = np.zeros(len(lengths) + 1, kind)
    np.cumsum(lengths, out=indptr[1:])
    nnz = int(indptr[-1])
    set_header(output / layout.INDICES, kind, nnz)
    set_header(output / layout.DATA, np.dtype(np.float32), nnz)
    for name in layout.LISTENS if with_times else ():
        set_header(output / name, np.dtype(np.int64), nnz)
    np.save(output / layout.INDPTR, indptr)


def _over_pairs(
    csr: Csr,
    nnz: int,
    medians: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    chunk_rows: int,
) -> Assembled:
    """Return the result for events: each pair of user and artist stands for all of its listens."""
    import numpy as np

    artist_rows, played_once = np.zeros(csr.n_artists, np.int64), 0
    for start in range(0, nnz, chunk_rows):
        part = slice(start, min(start + chunk_rows, nnz))
        np.add.at(artist_rows, csr.indices[part], 1)
        played_once += int(np.count_nonzero(csr.data.view(np.float32)[part] == 1))
    return Assembled(nnz, medians, lengths, artist_rows, played_once)


def row_chunks(indptr: npt.NDArray[np.int64], chunk_rows: int, most_users: int) -> list[tuple[int, int]]:
    """Cut users into ranges with at most `chunk_rows` rows (one user at least) and `most_users` users; pure."""
    import numpy as np

    chunks, first, n_users = [], 0, len(indptr) - 1
    while first < n_users:
        end = int(np.searchsorted(indptr, indptr[first] + chunk_rows, side="right")) - 1
        end = min(max(end, first + 1), first + most_users, n_users)
        chunks.append((first, end))
        first = end
    return chunks


def _sort_rows(
    csr: Csr, chunk_rows: int, threads: int, report: Callable[[int], None]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Sort and sum all rows in place; return their new lengths and the users' medians."""
    import numpy as np

    n_users = len(csr.indptr) - 1
    lengths = np.diff(csr.indptr)
    medians = np.zeros(n_users)
    column_bits = max(csr.n_artists - 1, 1).bit_length()
    most_users = 1 << (64 - column_bits - _PLAYS_BITS)

    longest, one_at_a_time = longest_sorted(chunk_rows, csr.n_artists), Lock()

    def work(chunk: tuple[int, int]) -> None:
        first, end = chunk
        bounds = csr.indptr[first : end + 1]
        if bounds[-1] - bounds[0] > longest and csr.sums_exactly:
            with one_at_a_time:
                lengths[first], medians[first] = _sum_long_row(csr, first, int(bounds[0]), int(bounds[-1]))
        else:
            _sort_chunk(csr, first, bounds, column_bits, lengths[first:end], medians[first:end])

    def done(chunk: tuple[int, int]) -> None:
        first, end = chunk
        report(int(csr.indptr[end] - csr.indptr[first]))

    for_each(work, row_chunks(csr.indptr, chunk_rows, most_users), threads, done)
    return lengths, medians


def longest_sorted(chunk_rows: int, n_artists: int) -> int:
    """Return how many rows of one user are sorted in memory; a longer row is summed by artist."""
    return max(chunk_rows, n_artists // 8)


def _sum_long_row(csr: Csr, user: int, start: int, stop: int) -> tuple[int, float]:
    """Sum one user's rows in place by artist; return how many artists there are, and the median."""
    import numpy as np

    plays = csr.data[start:stop]
    median = 0.0 if csr.events else long_rows.median(plays)
    if not csr.events:
        csr.summed.add_long_row(user, csr.indices[start:stop], plays, csr.n_artists)
    columns, sums = long_rows.sum_by_artist(csr.indices[start:stop], plays, csr.n_artists)
    if csr.events:
        median = float(np.median(sums))
    csr.indices[start : start + len(columns)] = columns
    csr.data.view(np.float32)[start : start + len(sums)] = sums
    return len(columns), median


def _sort_chunk(
    csr: Csr,
    first_user: int,
    bounds: npt.NDArray[np.int64],
    column_bits: int,
    lengths: npt.NDArray[np.int64],
    medians: npt.NDArray[np.float64],
) -> None:
    """Sort and sum a chunk of users' rows in place, from its start on; set their new lengths and medians.

    User, column and plays of a row are packed into one integer: sorting these sorts all three, and rows with equal
    user and column become adjacent.
    """
    import numpy as np

    start, stop = int(bounds[0]), int(bounds[-1])
    users = _user_keys(lengths, column_bits)
    plays = csr.data[start:stop]
    if not csr.events:
        medians[:] = _medians(plays, users, bounds - start, csr.is_real)
    keys = csr.indices[start:stop].astype(np.uint64)
    keys <<= np.uint64(_PLAYS_BITS)
    if csr.listens is not None:
        csr.listens.join(start, keys | users)
    keys |= plays.view(np.uint32)
    keys |= users
    del users
    keys.sort()
    values = _as_values(keys & np.uint64(MAX_PLAYS), csr.is_real)
    keys >>= np.uint64(_PLAYS_BITS)
    is_first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    if not csr.events:
        csr.summed.add(first_user, keys, values, is_first)
    if not is_first.all():
        firsts = np.flatnonzero(is_first)
        values = np.add.reduceat(values, firsts)
        lengths[:] = np.add.reduceat(is_first, bounds[:-1] - start, dtype=np.int64)
        keys = keys[firsts]
    keys &= np.uint64((1 << column_bits) - 1)
    csr.indices[start : start + len(keys)] = keys
    if csr.events:
        ends = np.concatenate([[0], np.cumsum(lengths)])
        medians[:] = _medians(values.astype(np.int32), _user_keys(lengths, column_bits), ends)
    if csr.is_real:
        values = np.minimum(values, np.finfo(np.float32).max)
    csr.data.view(np.float32)[start : start + len(values)] = values


def _user_keys(lengths: npt.NDArray[np.int64], column_bits: int) -> npt.NDArray[np.uint64]:
    """Return the user of each row of a chunk, shifted to its place in the key."""
    import numpy as np

    users = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    users <<= np.uint64(column_bits + _PLAYS_BITS)
    return users


def _as_values(plays: npt.NDArray[Any], is_real: bool) -> npt.NDArray[Any]:
    """Return plays in the type that they are summed in: int64, or float64 if they are stored as the bits of float32."""
    import numpy as np

    if is_real:
        return plays.astype(np.int32).view(np.float32).astype(np.float64)
    return plays.astype(np.int64)


def _medians(
    plays: npt.NDArray[np.int32],
    users: npt.NDArray[np.uint64],
    bounds: npt.NDArray[np.int64],
    is_real: bool = False,
) -> npt.NDArray[np.float64]:
    """Return the median of the plays between consecutive bounds, all of which are distinct.

    In the published log, a user's plays decrease from row to row, so the sort is skipped.
    """
    import numpy as np

    falls = plays[1:] <= plays[:-1]
    falls[bounds[1:-1] - 1] = True
    if falls.all():
        ordered: npt.NDArray[Any] = plays
    else:
        keys = users | plays.view(np.uint32)
        keys.sort()
        ordered = keys & np.uint64(MAX_PLAYS)
    below = bounds[:-1] + (np.diff(bounds) - 1) // 2
    above = bounds[:-1] + np.diff(bounds) // 2
    middle = np.stack((ordered[below], ordered[above]))
    medians: npt.NDArray[np.float64] = _as_values(middle, is_real).mean(axis=0, dtype=np.float64)
    return medians


def _close_gaps(csr: Csr, lengths: npt.NDArray[np.int64], chunk_rows: int) -> None:
    """Move every chunk's rows to the left to close the gaps that summing left in the chunks before it."""
    import numpy as np

    column_bits = max(csr.n_artists - 1, 1).bit_length()
    ends = np.concatenate([[0], np.cumsum(lengths)])
    for first, end in row_chunks(csr.indptr, chunk_rows, 1 << (64 - column_bits - _PLAYS_BITS)):
        source, target, n = int(csr.indptr[first]), int(ends[first]), int(ends[end] - ends[first])
        listens = () if csr.listens is None else (csr.listens.first, csr.listens.last)
        # In order from the left, so that nothing is overwritten before it is moved.
        for done in range(0, n if source != target else 0, chunk_rows):
            step = min(chunk_rows, n - done)
            for array in (csr.indices, csr.data, *listens):
                moved = array[source + done : source + done + step].copy()
                array[target + done : target + done + step] = moved

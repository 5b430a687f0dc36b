"""First pass of assemble: write every row of the encoded blocks to its user's next free place in the mapped arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.engine.threads import completed
from lastfm_dask.errors import StoreError
from lastfm_dask.interactions.encoding import column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.ingestion.assemble import Csr
    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.spool import Blocks


def place_rows(found: Index, spool: Blocks, csr: Csr, threads: int, report: Callable[[int], None]) -> None:
    """Write every row's column and plays to its user's next free place.

    Places are assigned in file order; then several blocks at a time write their rows there.
    """
    import numpy as np

    free = csr.indptr[:-1].copy()

    def placed() -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
        for batch, user_ids, artist_ids in found.blocks(spool):
            starts = free[user_ids]
            free[user_ids] += column(batch, "user_rows")
            yield batch, starts, artist_ids

    def write(block: tuple[pa.RecordBatch, npt.NDArray[np.int64], npt.NDArray[np.int32]]) -> int:
        batch, starts, artist_ids = block
        place = places_of(starts, column(batch, "user_rows"), column(batch, "user_codes"))
        csr.indices[place] = artist_ids[column(batch, "artist_codes")]
        csr.data[place] = column(batch, "plays")
        if csr.listens is not None:
            csr.listens.first[place] = column(batch, "times")
        return len(column(batch, "plays"))

    for n_rows in completed(write, placed(), threads):
        report(n_rows)
    if not np.array_equal(free, csr.indptr[1:]):
        msg = (
            "rows placed and rows counted differ: the spool changed while it was read, or names of the dataset that is"
            " appended to are there twice; remove the work directory beside the output, check the dataset"
            " (lastfm-dask verify) and run again"
        )
        raise StoreError(msg)


def places_of(
    starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int32], codes: npt.NDArray[np.int32]
) -> slice | npt.NDArray[np.int64]:
    """Return the places of a block's rows, as a slice if they are contiguous.

    Parameters
    ----------
    starts, rows : ndarray
        The first place and the number of rows of each of the block's users.
    codes : ndarray of int32
        The user of each row; empty if users come in runs.
    """
    import numpy as np

    if not len(codes) and np.array_equal(starts[1:], starts[:-1] + rows[:-1]):
        return slice(int(starts[0]), int(starts[-1] + rows[-1])) if len(starts) else slice(0, 0)
    n_before = np.cumsum(rows) - rows
    in_runs = np.repeat(starts - n_before, rows) + np.arange(rows.sum())
    if not len(codes):
        return in_runs
    places = np.empty_like(in_runs)
    places[np.argsort(codes, kind="stable")] = in_runs
    return places

"""Parquet tables of names with their counts, written some ten thousand rows at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

TABLE_ROWS = 1 << 16
"""Rows of a table that are written at once."""
TABLE_BYTES = 4 << 20
"""Bytes of names that are written at once, unless one name alone has more."""


def write_table(path: Path, role: str, names: pa.ChunkedArray, columns: dict[str, Any]) -> None:
    """Write names and, by name, other columns; the bytes do not depend on how the names lie in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 0
    writer: Any = None
    try:
        for chunk in _pieces(names):
            part = {key: values[first : first + len(chunk)] for key, values in columns.items()}
            table = pa.table({role: chunk, **part})
            if writer is None:
                # Names hardly repeat, and MBIDs neither: a dictionary would only be built to be given up.
                writer = pq.ParquetWriter(path, table.schema, use_dictionary=False, compression="zstd")
            writer.write_table(table)
            first += len(chunk)
    finally:
        if writer is not None:
            writer.close()


def _pieces(names: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    # Cut by rows and bytes, not by the chunks in memory, so that the file does not depend on how names were gathered.
    import numpy as np
    import pyarrow.compute as pc

    for first in range(0, len(names), TABLE_ROWS):
        rows = names.slice(first, TABLE_ROWS)
        starts = np.cumsum(pc.binary_length(rows).to_numpy(), dtype=np.int64) // TABLE_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(rows)]
        for start, end in pairwise(cuts):
            yield rows.slice(start, end - start).combine_chunks()

"""Parquet tables of names with their counts, written some ten thousand rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.name_pieces import name_pieces

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

TABLE_ROWS = 1 << 16
"""Rows of a table that are written at once."""
TABLE_BYTES = 4 << 20
"""Bytes of names that are written at once, unless a single name has more."""


def write_table(path: Path, role: str, names: pa.ChunkedArray, columns: dict[str, Any]) -> int:
    """Write names and, by name, other columns; return the bytes of the longest name.

    The bytes of the file do not depend on how the names lie in memory.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    first = longest = 0
    writer: Any = None
    try:
        for chunk in name_pieces(names, TABLE_ROWS, TABLE_BYTES):
            part = {key: values[first : first + len(chunk)] for key, values in columns.items()}
            table = pa.table({role: chunk.combine_chunks(), **part})
            if writer is None:
                # Names hardly repeat, and MBIDs neither: a dictionary would only be built to be given up.
                writer = pq.ParquetWriter(path, table.schema, use_dictionary=False, compression="zstd")
            writer.write_table(table)
            longest = max(longest, pc.max(pc.binary_length(chunk)).as_py() or 0)
            first += len(chunk)
    finally:
        if writer is not None:
            writer.close()
    return longest

"""A synthetic log as Parquet: the rows of the text log in columns user, mbid, artist and plays, in large row groups.

A line that is broken as text has no counterpart in columns: its plays are missing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    import pyarrow as pa

_GROUP_ROWS = 1 << 20
"""Rows that a row group has at least, but for the last."""


class ParquetLog:
    """A Parquet file that is written block by block of listeners; a context manager.

    Parameters
    ----------
    path : Path
        The file to make.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        texts = {name: pa.dictionary(pa.int32(), pa.string()) for name in ("user", "mbid", "artist")}
        self._schema = pa.schema({**texts, "plays": pa.int32()})
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._held: list[pa.RecordBatch] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._write()
        self._writer.close()

    def add(self, columns: Sequence[Any]) -> None:
        """Write a block of rows: users, MBIDs, artists as dictionaries, and plays."""
        import pyarrow as pa

        self._held.append(pa.record_batch(list(columns), schema=self._schema))
        if sum(map(len, self._held)) >= _GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        if self._held:
            table = pa.Table.from_batches(self._held, self._schema)
            self._held = []
            self._writer.write_table(table, row_group_size=len(table))

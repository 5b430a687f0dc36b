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

GROUP_ROWS = 1 << 20
"""Rows of each row group, but for the last: as many as an ingest reads at once by default."""
_DICTIONARY_BYTES = 64 << 20
"""Far beyond the names of a row group: where a dictionary grows larger, the writer stores names row by row."""


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
        self._writer = parquet.ParquetWriter(
            path, self._schema, compression="zstd", dictionary_pagesize_limit=_DICTIONARY_BYTES
        )
        self._held: list[pa.RecordBatch] = []
        self._n_held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._held:
            self._write()
        self._writer.close()

    def add(self, columns: Sequence[Any]) -> None:
        """Write a block of rows: users, MBIDs, artists as dictionaries, and plays."""
        import pyarrow as pa

        batch = pa.record_batch(list(columns), schema=self._schema)
        while self._n_held + len(batch) >= GROUP_ROWS:
            n_rows = GROUP_ROWS - self._n_held
            self._held.append(batch.slice(0, n_rows))
            self._write()
            batch = batch.slice(n_rows)
        if len(batch):
            self._held.append(batch)
            self._n_held += len(batch)

    def _write(self) -> None:
        """Write the rows held as a row group with one dictionary a column; the writer drops dictionaries at a second."""
        import pyarrow as pa

        table = pa.Table.from_batches(self._held, self._schema)
        self._held, self._n_held = [], 0
        for i, name in enumerate(self._schema.names):
            column = table.column(i).combine_chunks()
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode().dictionary_encode()
            table = table.set_column(i, self._schema.field(name), column)
        self._writer.write_table(table, row_group_size=len(table))

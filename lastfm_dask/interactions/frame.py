"""The rows of a source as a lazy dask.dataframe, for people who want to go on in Dask.

The rows that ingest keeps, by the same reader; rejected rows are left out. The only module that uses pandas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.cutting import blocks_of
from lastfm_dask.interactions.formats import SchemaOptions
from lastfm_dask.interactions.headers import resolve
from lastfm_dask.interactions.names import lower_all
from lastfm_dask.interactions.reading import read_block, read_rows
from lastfm_dask.interactions.schema import ARTIST, MBID, PLAYS, USER, Schema
from lastfm_dask.sources.files import find, open_ranges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from lastfm_dask.interactions.blocks import Block
    from lastfm_dask.interactions.rows import Rows

BLOCK_BYTES = 16 << 20


def read_interactions(
    source: str | PathLike[str] | Sequence[str | PathLike[str]],
    options: SchemaOptions | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Any:
    """Return the rows of a listening log as a lazy `dask.dataframe.DataFrame`, one partition a block.

    Parameters
    ----------
    source : path or sequence of path
        A file, several in the order given, or a glob; local or an address. Not compressed, since compressed files
        can't be cut by offset.
    options : SchemaOptions, optional
        What is read; the format `lastfm-360k` unless given.
    block_bytes : int
        Bytes of the source in a partition.

    Returns
    -------
    dask.dataframe.DataFrame
        Columns user (string), artist (string, lower case unless `keep_case`), plays (int64), and mbid (string)
        where the options ask for it, in the order of the source.

    Raises
    ------
    BadInputError
        The source can't be read or is compressed.

    Examples
    --------
    >>> frame = read_interactions(example_log)
    >>> list(frame.columns)
    ['user', 'artist', 'plays']
    """
    import os

    import dask.dataframe as dd

    patterns = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    files = find(patterns)
    packed = [file.path for file in files if file.compression]
    if packed:
        msg = f"{', '.join(packed)}: a compressed source can't be cut into partitions: unpack it first"
        raise BadInputError(msg, path=packed[0])
    schema = resolve(files, options or SchemaOptions())
    blocks = list(blocks_of(files, schema, block_bytes))
    task = _ReadBlock(tuple(file.path for file in files), schema)
    from_map: Any = dd.from_map
    return from_map(task, blocks, meta=_frame(b"", schema, file_start=False), label="read-interactions")


@dataclass(frozen=True, slots=True)
class _ReadBlock:
    """The task that reads one block as a pandas data frame."""

    paths: tuple[str, ...]
    schema: Schema

    def __call__(self, block: Block) -> Any:
        if self.schema.is_columnar:
            from lastfm_dask.interactions.columnar_reader import read_columns

            return _as_frame(
                read_columns(self.paths[block.file], block.start, block.end, self.schema), self.schema
            )
        with open_ranges(self.paths[block.file]) as read:
            lines = read_block(read, block, self.schema)
        return _frame(lines, self.schema, file_start=block.start == 0)


def _frame(lines: bytes | bytearray, schema: Schema, *, file_start: bool) -> Any:
    return _as_frame(read_rows(lines, schema, file_start=file_start), schema)


def _as_frame(rows: Rows, schema: Schema) -> Any:
    import pandas as pd
    import pyarrow as pa

    artist = rows.artist.cast(pa.string())
    columns = {
        USER: rows.user.dictionary_decode(),
        ARTIST: artist if schema.keep_case else lower_all(artist),
        # Sums by artist can exceed int32.
        PLAYS: pa.array(rows.plays, pa.float64() if schema.is_real else pa.int64()),
    }
    if rows.mbid is not None:
        columns[MBID] = rows.mbid.cast(pa.string())
    return pa.table(columns).to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)

"""What `ingest` takes as a source: paths, or a frame or stream of Arrow batches in this process.

The columns that are used are written once to an unnamed temporary file beside the output, as Parquet. The frame is
then planned, cut and read like any other source, and no file is left behind however the process ends. Frames are read
through the Arrow PyCapsule interface, so this module imports no data frame library.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.writing import write_errors
from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.headers import resolve
from lastfm_dask.sources import files as sources
from lastfm_dask.sources.source_file import PARQUET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from lastfm_dask.interactions.formats import SchemaOptions
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile

_GROUP_ROWS = 1 << 18


def patterns_of(source: Any) -> Sequence[str | os.PathLike[str]]:
    """Return the paths of a source that is given as paths.

    Raises
    ------
    BadInputError
        If `ingest` can't take it.
    """
    patterns = [source] if isinstance(source, str | os.PathLike) else source
    if isinstance(patterns, list | tuple) and all(isinstance(path, str | os.PathLike) for path in patterns):
        return patterns
    kind = type(source)
    msg = (
        f"a {kind.__module__}.{kind.__qualname__} is not a source: a path, several, a pandas, Polars or Dask data frame,"
        " an Arrow table or record batch reader is; collect a lazy frame first"
    )
    raise BadInputError(msg)


def is_frame(source: Any) -> bool:
    """Whether a source is a frame or a stream of batches in this process."""
    return hasattr(source, "__arrow_c_stream__") or _is_dask(source)


def _is_dask(source: Any) -> bool:
    return hasattr(source, "npartitions") and hasattr(source, "partitions") and hasattr(source, "columns")


@contextmanager
def found_source(
    source: Any, folder: Path, options: SchemaOptions
) -> Iterator[tuple[tuple[SourceFile, ...], Schema]]:
    """Give a source's files and schema; a frame's file exists until the context ends.

    Raises
    ------
    BadInputError
        If the source can't be read, or lacks a column that a row needs.
    StoreError
        If the folder has no room for a frame.
    """
    if not is_frame(source):
        files = sources.find(patterns_of(source))
        yield files, resolve(files, options)
        return
    kind = type(source)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    with write_errors(folder / name), tempfile.TemporaryFile(dir=folder) as file:
        schema = _write(source, name, options, file)
        file.flush()
        found = sources.find([f"/proc/self/fd/{file.fileno()}"])
        yield (replace(found[0], label=name),), schema


def _write(source: Any, name: str, options: SchemaOptions, file: Any) -> Schema:
    """Write the columns that are read as Parquet, a group at a time; return the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lastfm_dask.interactions.columnar import resolve_names
    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    schema: Schema | None = None
    stored: pa.Schema | None = None
    writer: pq.ParquetWriter | None = None
    n_rows = 0
    for reader in _readers(source):
        try:
            schema = resolve_names(reader.schema, options, PARQUET, {}, schema)
        except BadInputError as error:
            msg = f"{name}: {error}"
            raise BadInputError(msg) from error
        if writer is None:
            fields = [
                (field, _plain(reader.schema.field(field).type)) for field in dict.fromkeys(schema.fields)
            ]
            stored = pa.schema(fields)
            writer = pq.ParquetWriter(file, stored, compression="lz4")
        for batch in reader:
            n_rows += len(batch)
            for first in range(0, len(batch), _GROUP_ROWS):
                writer.write_batch(_stored(batch.slice(first, _GROUP_ROWS), stored))
    if writer is not None:
        writer.close()
    if schema is None or not n_rows:
        msg = f"{name} has no row: a frame with at least one is wanted"
        raise BadInputError(msg)
    return schema


def _readers(source: Any) -> Iterator[pa.RecordBatchReader]:
    import pyarrow as pa

    if _is_dask(source):
        for number in range(source.npartitions):
            yield from _readers(source.partitions[number].compute())
    else:
        yield pa.RecordBatchReader.from_stream(source)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type that a column is stored as; string views become strings."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return pa.dictionary(pa.int32(), _plain(kind.value_type))
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else kind


def _stored(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [_cast(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if column.type == kind:
        return column
    if pa.types.is_dictionary(kind) and pa.types.is_dictionary(column.type):
        values = column.dictionary.cast(kind.value_type)
        return pa.DictionaryArray.from_arrays(column.indices.cast(kind.index_type), values)
    return column.cast(kind)

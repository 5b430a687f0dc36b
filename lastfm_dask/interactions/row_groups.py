"""Open columnar files: their content, their division into blocks, and the rows of a block as record batches.

Groups are a Parquet file's row groups or an Arrow file's record batches. A block is a group, several small ones,
or a part of a large one; a place is a row's number in its file. Everything is read by ranges, and only the columns that
are used.
"""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.blocks import ROW_BYTES, Block
from lastfm_dask.sources.files import find, open_ranges
from lastfm_dask.sources.source_file import PARQUET, is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from lastfm_dask.sources.source_file import SourceFile

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """The metadata of a columnar file."""

    schema: pa.Schema
    group_rows: tuple[int, ...]
    bounds: dict[str, tuple[int, int]]
    """The least and the greatest value of each column of integers, where the file states them for all rows."""
    text_bytes: dict[str, tuple[int, ...]]
    """Bytes of each column of texts by group, unpacked, where the file states them."""

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return sum(self.group_rows)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of one group; `first` is the number of the first of them in the group."""

    group: int
    first: int
    columns: pa.RecordBatch


@lru_cache(maxsize=4096)
def layout_of(file: SourceFile, kind: str) -> Layout:
    """Return the metadata of a file; raises BadInputError if it can't be read."""
    with _said_plainly(file.path, kind), _opened(file.path, kind, (), file.size_bytes) as opened:
        return Layout(opened.schema, opened.group_rows, opened.bounds(), opened.text_bytes())


def group_rows(files: Sequence[SourceFile], kind: str) -> list[tuple[int, ...]]:
    """Return the rows of each file's groups; an empty file has none."""
    return [layout_of(file, kind).group_rows if file.size_bytes else () for file in files]


def text_bytes(files: Sequence[SourceFile], kind: str, columns: Sequence[str]) -> list[list[int]]:
    """Return the bytes of these columns of texts by group of each file, as the files state them; 0 where they don't."""
    found = []
    for file in files:
        layout = layout_of(file, kind) if file.size_bytes else None
        stated = [layout.text_bytes[name] for name in columns if name in layout.text_bytes] if layout else []
        found.append(
            [sum(sizes) for sizes in zip(*stated, strict=True)]
            or [0] * len(layout.group_rows if layout else ())
        )
    return found


def most_distinct(files: Sequence[SourceFile], kind: str, column: str) -> int | None:
    """Return an upper bound of a column's distinct integers from the files' statistics; None without them."""
    layouts = [layout_of(file, kind) for file in files if file.size_bytes]
    bounds = [layout.bounds.get(column) for layout in layouts if layout.n_rows]
    stated = [pair for pair in bounds if pair is not None]
    if not stated or len(stated) < len(bounds):
        return None
    return max(most for _, most in stated) - min(least for least, _ in stated) + 1


def cut_columnar(files: Sequence[SourceFile], kind: str, block_bytes: int) -> list[Block]:
    """Return the blocks of columnar files, a row counting for `ROW_BYTES`."""
    return cut_groups(group_rows(files, kind), max(1, block_bytes // ROW_BYTES))


def cut_groups(group_rows: Sequence[Sequence[int]], block_rows: int) -> list[Block]:
    """Return the blocks of files with these groups: small groups together, large ones in pieces; pure.

    Parameters
    ----------
    group_rows : sequence of sequence of int
        Rows by group, by file.
    block_rows : int
        The most rows of a block.
    """
    blocks: list[Block] = []
    for file, groups in enumerate(group_rows):
        start = end = 0
        for rows in groups:
            if start < end and end + rows > start + block_rows:
                blocks.append(Block(len(blocks), file, start, end))
                start = end
            end += rows
            while end - start > block_rows:
                blocks.append(Block(len(blocks), file, start, start + block_rows))
                start += block_rows
        if start < end:
            blocks.append(Block(len(blocks), file, start, end))
    return blocks


def batches(path: str, kind: str, columns: tuple[str, ...], start: int, end: int) -> Iterator[Batch]:
    """Yield the rows from `start` up to `end`, in order, in one batch or a few.

    A thread that reads a group piece by piece continues where it was, so a large group is not decoded again for each
    piece.

    Raises
    ------
    BadInputError
        If the file can't be read: with the row group, and what to do.
    """
    cursor = _of_this_thread.cursor
    if cursor is None or (cursor.path, cursor.kind, cursor.columns) != (path, kind, columns):
        _of_this_thread.close()
        cursor = _of_this_thread.cursor = _Cursor(path, kind, columns)
    try:
        yield from cursor.rows(start, end)
    except BaseException:
        _of_this_thread.close()
        raise


def close_file() -> None:
    """Close the file that this thread has been reading, and release its buffers."""
    _of_this_thread.close()


class _Cursor:
    """A place in an open file, which moves forward within a group."""

    def __init__(self, path: str, kind: str, columns: tuple[str, ...]) -> None:
        self.path, self.kind, self.columns = path, kind, columns
        with _said_plainly(path, kind):
            self._context = _opened(path, kind, columns)
            self._file = self._context.__enter__()
        self._starts = [0, *accumulate(self._file.group_rows)]
        self._group = -1
        self._next = 0
        self._rest: pa.RecordBatch | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())

    def close(self) -> None:
        self._batches = iter(())
        self._context.__exit__(None, None, None)

    def rows(self, start: int, end: int) -> Iterator[Batch]:
        from bisect import bisect_right

        while start < end:
            group = bisect_right(self._starts, start) - 1
            with _said_plainly(self.path, self.kind, group):
                if group != self._group or self._next > start:
                    self._group, self._next, self._rest = group, self._starts[group], None
                    self._batches = self._file.read(group, end - start)
                batch = self._rest if self._rest is not None else next(self._batches, None)
                if batch is None:
                    msg = f"its metadata say {self._starts[group + 1] - self._starts[group]} rows, and there are fewer"
                    raise OSError(msg)
            skipped = min(len(batch), start - self._next)
            taken = min(len(batch) - skipped, end - start)
            self._next += skipped + taken
            rest = batch.slice(skipped + taken)
            self._rest = rest if len(rest) else None
            if taken:
                yield Batch(group, start - self._starts[group], batch.slice(skipped, taken))
                start += taken


class _OfThread(threading.local):
    """The file that a thread reads."""

    cursor: _Cursor | None = None

    def close(self) -> None:
        if self.cursor is not None:
            cursor, self.cursor = self.cursor, None
            cursor.close()


_of_this_thread = _OfThread()


class _Parquet:
    """An open Parquet file."""

    def __init__(self, source: Any, columns: tuple[str, ...], *, remote: bool) -> None:
        from pyarrow import parquet

        options = {"pre_buffer": True} if remote else {"buffer_size": _BUFFER_BYTES}
        self._file = parquet.ParquetFile(source, read_dictionary=list(columns), **options)
        metadata = self._file.metadata
        self.schema = self._file.schema_arrow
        self.group_rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        self._columns = list(columns)

    def bounds(self) -> dict[str, tuple[int, int]]:
        """Return the least and the greatest value of each column of integers, if every group states them."""
        import pyarrow as pa

        metadata = self._file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups) if self.group_rows[i]]
        found = {}
        for place in range(metadata.num_columns):
            name = metadata.schema.column(place).path
            if name not in self.schema.names or not pa.types.is_integer(self.schema.field(name).type):
                continue
            pairs = [_stated(group.column(place).statistics) for group in groups]
            stated = [pair for pair in pairs if pair is not None]
            if groups and len(stated) == len(groups):
                found[name] = (min(least for least, _ in stated), max(most for _, most in stated))
        return found

    def text_bytes(self) -> dict[str, tuple[int, ...]]:
        """Return the unpacked bytes of each column of texts by group; repeated texts of a group count once."""
        metadata = self._file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        return {
            metadata.schema.column(place).path: tuple(g.column(place).total_uncompressed_size for g in groups)
            for place in range(metadata.num_columns)
            if metadata.schema.column(place).physical_type == "BYTE_ARRAY"
        }

    def read(self, group: int, n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield a group's rows, at most `n_rows` at once."""
        found: Iterator[pa.RecordBatch] = self._file.iter_batches(
            n_rows, row_groups=[group], columns=self._columns, use_threads=False
        )
        return found


def _stated(statistics: Any) -> tuple[int, int] | None:
    """Return the least and the greatest integer that a column's statistics state."""
    if statistics is None or not statistics.has_min_max:
        return None
    least, most = statistics.min, statistics.max
    return (least, most) if isinstance(least, int) and isinstance(most, int) else None


class _Arrow:
    """An open Arrow IPC file."""

    def __init__(self, source: Any, columns: tuple[str, ...]) -> None:
        import pyarrow as pa

        self.schema = pa.ipc.open_file(source).schema
        self._file = pa.ipc.open_file(source, options=_only(self.schema, columns or self.schema.names[:1]))
        self._source, self._columns = source, list(columns)

    def bounds(self) -> dict[str, tuple[int, int]]:
        """Return nothing: the format states no bounds."""
        return {}

    def text_bytes(self) -> dict[str, tuple[int, ...]]:
        """Return nothing: the format states no sizes of columns."""
        return {}

    @property
    def group_rows(self) -> tuple[int, ...]:
        """Rows by record batch."""
        numbers = range(self._file.num_record_batches)
        return tuple(self._file.get_batch(number).num_rows for number in numbers)

    def read(self, group: int, n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield a record batch, at most `n_rows` rows at once."""
        batch = self._file.get_batch(group).select(self._columns)
        return (batch.slice(first, n_rows) for first in range(0, len(batch), n_rows))


def _only(schema: pa.Schema, columns: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.ipc.IpcReadOptions(
        included_fields=[schema.names.index(name) for name in columns], use_threads=False
    )


@contextmanager
def _opened(path: str, kind: str, columns: tuple[str, ...], size_bytes: int | None = None) -> Iterator[Any]:
    """Give an open file that has `schema`, `group_rows` and `read(group, n_rows)`."""
    import pyarrow as pa

    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    if is_remote(path):
        size = find([path])[0].size_bytes if size_bytes is None else size_bytes
        with open_ranges(path) as read, pa.PythonFile(_Seekable(read, size), "r") as source:
            yield _Parquet(source, columns, remote=True) if kind == PARQUET else _Arrow(source, columns)
    else:
        opener = pa.OSFile if kind == PARQUET else pa.memory_map
        with opener(path) as source:
            yield _Parquet(source, columns, remote=False) if kind == PARQUET else _Arrow(source, columns)


class _Seekable(io.RawIOBase):
    """A file over ranged reads."""

    def __init__(self, read: Callable[[int, int], bytearray], size_bytes: int) -> None:
        self._read, self._size, self._place = read, size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def read(self, n_bytes: int = -1) -> bytes:
        n = self._size - self._place if n_bytes < 0 else min(n_bytes, self._size - self._place)
        data = self._read(self._place, n) if n > 0 else bytearray()
        self._place += len(data)
        return bytes(data)


@contextmanager
def _said_plainly(path: str, kind: str, group: int | None = None) -> Iterator[None]:
    """Turn what Arrow raises into what was found, where, and what to do next."""
    import pyarrow as pa

    try:
        yield
    except BadInputError:
        raise
    except (OSError, pa.ArrowException, EOFError, ValueError) as error:
        name = "Parquet" if kind == PARQUET else "Arrow IPC"
        place = (
            path if group is None else f"{path}, {'row group' if kind == PARQUET else 'record batch'} {group}"
        )
        text = str(error).strip().split("\n")[0]
        if "crypt" in text.lower():
            msg = f"{place} is encrypted ({text}): write it without encryption first"
        else:
            msg = f"{place} can't be read as {name} ({text}): it is damaged or cut short; fetch or write it again"
        raise BadInputError(msg, path=path) from error

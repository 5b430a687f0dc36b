"""Read a block of any source: its bytes, and the rows in them. The one place that chooses between readers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lastfm_dask.interactions import blocks, decoding, json_lines, quoted, reader
from lastfm_dask.interactions.schema import JSON_LINES, UTF8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lastfm_dask.interactions.blocks import Block
    from lastfm_dask.interactions.rows import Rows
    from lastfm_dask.interactions.schema import Schema


def is_cut_by_records(schema: Schema, *, as_stream: bool) -> bool:
    """Whether blocks are cut where records end (`records.cut_records`), not at any byte.

    Quoted fields may contain line ends; and other streams are only searched for line ends of a single byte.
    """
    return bool(schema.quote) or (as_stream and decoding.line_end_of(schema.encoding) != b"\n")


def read_block(read: Callable[[int, int], bytearray], block: Block, schema: Schema) -> bytearray:
    """Return the bytes of the records that belong to a block of a file; see `blocks.read_lines`."""
    if is_cut_by_records(schema, as_stream=False):
        return read(block.start, block.end - block.start)
    return sample_lines(read, block.start, block.end, schema)


def sample_lines(read: Callable[[int, int], bytearray], start: int, end: int, schema: Schema) -> bytearray:
    """Return the whole lines that start in a range, wherever that begins."""
    line_end = decoding.line_end_of(schema.encoding)
    if line_end != b"\n":
        return decoding.read_lines(read, start, end, line_end)
    return blocks.read_lines(read, start, end)


def pieces_of(lines: bytes | bytearray, schema: Schema, most: int) -> Iterator[bytes | bytearray]:
    """Cut a block into pieces of at most `most` lines; one whose records may hold line ends stays whole."""
    if schema.quote or decoding.line_end_of(schema.encoding) != b"\n":
        return iter((lines,))
    return blocks.cut_lines(lines, most)


def whole_lines(lines: bytes, schema: Schema) -> bytes:
    """Return bytes without the line at their end that may go on; all where there is but one."""
    stops = decoding.line_stops(lines, decoding.line_end_of(schema.encoding))
    return lines[: int(stops[-1])] if len(stops) else lines


def read_rows(lines: bytes | bytearray, schema: Schema, *, file_start: bool) -> Rows:
    """Read a block's records; see `reader.read_rows`."""
    if schema.encoding != UTF8:
        as_utf8 = partial(read_rows, schema=replace(schema, encoding=UTF8), file_start=file_start)
        return decoding.read_decoded(lines, schema.encoding, as_utf8, file_start=file_start)
    if schema.kind == JSON_LINES:
        return json_lines.read_rows(lines, schema, file_start=file_start)
    if schema.quote:
        return quoted.read_rows(lines, schema, file_start=file_start)
    return reader.read_rows(lines, schema, file_start=file_start)

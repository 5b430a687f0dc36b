"""Read a block's lines into columns and rejects, by two paths with equal results.

`fast` is pyarrow's CSV reader; what it would misread is covered beforehand. `exact` splits lines of any content by the
positions of line ends and delimiters, and takes the blocks that `fast` declines.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lastfm_dask.interactions.exact import read_piece
from lastfm_dask.interactions.fast import BOM, read_fast
from lastfm_dask.interactions.rows import joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastfm_dask.interactions.rows import Rows
    from lastfm_dask.interactions.schema import Schema

_PIECE_BYTES = 1 << 20
"""How many bytes the exact path reads at once."""


def read_rows(lines: bytes | bytearray, schema: Schema, *, file_start: bool) -> Rows:
    """Read a block's whole lines.

    Parameters
    ----------
    lines : bytes-like
        Whole lines, as `blocks.read_lines` gives them; the last may lack its line end.
    schema : Schema
        What the fields are.
    file_start : bool
        Whether the block is the first of its file: a byte order mark is dropped and a header skipped there.
    """
    n_header_lines, begin = 0, 0
    if file_start:
        begin = len(BOM) if lines.startswith(BOM) else 0
        if schema.header:
            stop = lines.find(b"\n", begin) + 1
            begin, n_header_lines = stop or len(lines), 1
    rows = read_fast(lines, begin, schema)
    if rows is None:
        rows = read_exactly(lines, begin, schema)
    return shifted(rows, n_header_lines) if n_header_lines else rows


def encoded(rows: Rows) -> Rows:
    """Return rows whose users are a StringArray with users as a DictionaryArray."""
    return replace(rows, user=rows.user.dictionary_encode())


def shifted(rows: Rows, n_header_lines: int) -> Rows:
    """Return rows that follow `n_lines` lines of the block that are not rows."""
    return replace(
        rows, n_lines=rows.n_lines + n_header_lines, reject_lines=rows.reject_lines + n_header_lines
    )


def read_exactly(lines: bytes | bytearray, begin: int, schema: Schema) -> Rows:
    """Read lines of any content piece by piece (see `read_rows`)."""
    with memoryview(lines) as view:
        return encoded(joined([read_piece(view[start:end], schema) for start, end in _cuts(lines, begin)]))


def _cuts(lines: bytes | bytearray, begin: int) -> Iterator[tuple[int, int]]:
    """Cut lines behind line ends into pieces of about `_PIECE_BYTES`; one that is empty if there are none."""
    while True:
        end = lines.find(b"\n", begin + _PIECE_BYTES - 1) + 1 or len(lines)
        yield begin, end
        if end == len(lines):
            return
        begin = end

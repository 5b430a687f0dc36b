"""A block's lines read into columns and rejects, by two paths with equal results.

`fast` is pyarrow's CSV reader with what it would misread kept from it. `exact` cuts lines by the positions of line
ends and delimiters, whatever they hold, and takes the blocks that `fast` declines.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lastfm_dask.interactions.exact import Piece, read_piece
from lastfm_dask.interactions.fast import BOM, read_fast
from lastfm_dask.interactions.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lastfm_dask.interactions.schema import Schema

__all__ = ["Rows", "read_exactly", "read_rows"]

_PIECE_BYTES = 1 << 20
"""What the exact path reads at once."""


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


def shifted(rows: Rows, n_header_lines: int) -> Rows:
    """Return rows before which the block has so many lines that are not rows."""
    return replace(
        rows, n_lines=rows.n_lines + n_header_lines, reject_lines=rows.reject_lines + n_header_lines
    )


def read_exactly(lines: bytes | bytearray, begin: int, schema: Schema) -> Rows:
    """Read lines of any content, a piece after the other (see `read_rows`)."""
    with memoryview(lines) as view:
        return joined([read_piece(view[start:end], schema) for start, end in _cuts(lines, begin)], schema)


def joined(pieces: Sequence[Piece], schema: Schema) -> Rows:
    """Return the rows of pieces that follow each other in a block."""
    import numpy as np
    import pyarrow as pa

    n_before = np.cumsum([0, *(piece.n_lines for piece in pieces)])
    return Rows(
        user=pa.concat_arrays([piece.user for piece in pieces]).dictionary_encode(),
        artist=pa.concat_arrays([piece.artist for piece in pieces]),
        plays=np.concatenate([piece.plays for piece in pieces]),
        mbid=pa.concat_arrays([piece.mbid for piece in pieces]) if schema.with_mbid else None,
        time=np.concatenate([piece.time for piece in pieces]) if schema.with_time else None,
        n_lines=int(n_before[-1]),
        reject_lines=np.concatenate(
            [piece.reject_lines + before for piece, before in zip(pieces, n_before[:-1], strict=True)]
        ),
        reject_reasons=np.concatenate([piece.reject_reasons for piece in pieces]),
        reject_bytes=pa.concat_arrays([piece.reject_bytes for piece in pieces]),
    )


def as_piece(rows: Rows) -> Piece:
    """Return rows as a piece of a block."""
    return Piece(
        user=rows.user.dictionary_decode(),
        artist=rows.artist,
        plays=rows.plays,
        mbid=rows.mbid,
        time=rows.time,
        n_lines=rows.n_lines,
        reject_lines=rows.reject_lines,
        reject_reasons=rows.reject_reasons,
        reject_bytes=rows.reject_bytes,
    )


def _cuts(lines: bytes | bytearray, begin: int) -> Iterator[tuple[int, int]]:
    """Cut lines behind line ends into pieces of about `_PIECE_BYTES`; one that is empty if there are none."""
    while True:
        end = lines.find(b"\n", begin + _PIECE_BYTES - 1) + 1 or len(lines)
        yield begin, end
        if end == len(lines):
            return
        begin = end

"""A block's lines read into columns and rejects, by two paths with equal results.

The fast path is pyarrow's CSV reader. It judges some lines otherwise than `schema` does (a bare carriage return
ends a row, ` 5` and `0x1F` are numbers, a byte order mark vanishes), and any reject stops it; a block in which
that could matter takes the exact path, which is `exact`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions.exact import Piece, is_utf8, read_piece
from lastfm_dask.interactions.schema import (
    ARTIST,
    FLOAT,
    MAX_LINE_BYTES,
    MBID,
    PLAYS,
    TIME,
    USER,
    WHOLE,
    Schema,
)
from lastfm_dask.interactions.values import judge_plays, judge_times, without_zero_decimals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BOM = b"\xef\xbb\xbf"
_SELDOM = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
"""What may stand for a delimiter of several bytes: signs that hardly a log holds."""
_PIECE_BYTES = 1 << 20
"""What the exact path reads at once."""
_WINDOW_BYTES = MAX_LINE_BYTES // 2
"""A line that is too long covers at least one whole window of this size, so a window without a line end is
reason enough for the exact path."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a block: what was kept as columns, what was rejected with its reason.

    Attributes
    ----------
    user : DictionaryArray of string, int32 indices
        The user of each row kept; the dictionary holds no name twice and is in order of first appearance.
    artist : StringArray, or DictionaryArray as of the user
        The artist of each row kept, as written in the source.
    plays : ndarray of int32, or of float32 where the schema's values are real
        The plays of each row kept; 1 for an event.
    mbid : StringArray, DictionaryArray, or None
        The MBID of each row kept, where the schema asks for it.
    time : ndarray of int64 or None
        Milliseconds since 1970 of each row kept, where the schema has a column for it.
    n_lines : int
        Lines in the block, a header among them.
    reject_lines : ndarray of int64
        The line within the block, from 0, of each row rejected.
    reject_reasons : ndarray of int8
        Indices into `REASONS`.
    reject_bytes : BinaryArray
        Each row's bytes up to the line end, at most 1 KiB.
    """

    user: pa.DictionaryArray
    artist: pa.StringArray
    plays: npt.NDArray[Any]
    mbid: pa.StringArray | None
    time: npt.NDArray[np.int64] | None
    n_lines: int
    reject_lines: npt.NDArray[np.int64]
    reject_reasons: npt.NDArray[np.int8]
    reject_bytes: pa.BinaryArray


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


def read_fast(lines: bytes | bytearray, begin: int, schema: Schema) -> Rows | None:
    """Read lines none of which is rejected and all of which Arrow judges as `schema` does; else return None."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if begin == len(lines) or not _is_plain(lines, begin):
        return None
    if len(schema.delimiter.encode()) > 1:
        # Arrow splits at one byte alone. A line end or a quote of Arrow's own cannot come of this.
        sign = next((sign for sign in _SELDOM if sign.encode() not in lines), None)
        if sign is None or schema.quote:
            return None
        lines, begin = lines[begin:].replace(schema.delimiter.encode(), sign.encode()), 0
        schema = replace(schema, delimiter=sign)
    try:
        table = _parse(pa.py_buffer(lines)[begin:], schema)
    except pa.ArrowInvalid:
        return None
    user, artist = table[USER], table[ARTIST]
    if (
        pc.min(pc.binary_length(user.dictionary)).as_py() == 0
        or pc.min(pc.binary_length(artist)).as_py() == 0
    ):
        return None
    plays = np.ones(len(user), np.int32) if schema.events else _plays(table[PLAYS], schema.values)
    time, is_time = judge_times(table[TIME]) if schema.with_time else (None, np.ones(0, np.bool_))
    if plays is None or not is_time.all():
        return None
    return Rows(
        user=user,
        artist=artist,
        plays=plays,
        mbid=table[MBID] if schema.with_mbid else None,
        time=time,
        n_lines=len(plays),
        reject_lines=np.empty(0, np.int64),
        reject_reasons=np.empty(0, np.int8),
        reject_bytes=pa.array([], pa.binary()),
    )


def _plays(written: pa.StringArray, values: str) -> npt.NDArray[Any] | None:
    """Return plays all of which are in range; None where one is not."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if values == FLOAT:
        plays, _, in_range = judge_plays(written, values)
        return plays if in_range.all() else None
    if values == WHOLE:
        written = without_zero_decimals(written)
    n_characters = pc.binary_length(written).to_numpy()
    if not n_characters.all():
        return None
    try:
        counts: npt.NDArray[np.int32] = pc.cast(written, pa.int32()).to_numpy()
    except pa.ArrowInvalid:
        return None
    # A number that takes as many characters as its digits was written in plain digits.
    plain = counts.min(initial=1) >= 1 and np.array_equal(n_characters, _n_digits(counts))
    return counts if plain else None


def _is_plain(lines: bytes | bytearray, begin: int) -> bool:
    """Whether lines hold nothing that Arrow's CSV reader would judge otherwise, and no line too long."""
    if lines.startswith(BOM, begin):
        return False
    if b"\r" in lines and lines.count(b"\r") != lines.count(b"\r\n"):
        return False
    return not may_be_too_long(lines, begin) and is_utf8(lines)


def may_be_too_long(lines: bytes | bytearray, begin: int) -> bool:
    """Whether a line may be longer than allowed; where it is, this is true."""
    windows = range(begin, len(lines) - _WINDOW_BYTES, _WINDOW_BYTES)
    return any(lines.find(b"\n", start, start + _WINDOW_BYTES) < 0 for start in windows)


def _parse(buffer: pa.Buffer, schema: Schema) -> dict[str, Any]:
    """Return the columns that are read, by role; raises ArrowInvalid at the first line with other fields."""
    import pyarrow as pa
    from pyarrow import csv

    names = [role if role in schema.roles else f"-{i}" for i, role in enumerate(schema.columns)]
    roles = list(schema.roles)
    types = dict.fromkeys(roles, pa.string()) | {USER: pa.dictionary(pa.int32(), pa.string())}
    table = csv.read_csv(
        pa.BufferReader(buffer),
        read_options=csv.ReadOptions(use_threads=False, block_size=buffer.size + 1, column_names=names),
        parse_options=csv.ParseOptions(
            delimiter=schema.delimiter,
            quote_char=schema.quote or False,
            newlines_in_values=bool(schema.quote),
            ignore_empty_lines=False,
        ),
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=roles,
            strings_can_be_null=False,
            null_values=[],
            # The whole block was found valid before.
            check_utf8=False,
        ),
    )
    return {role: table[role].combine_chunks() for role in roles}


def _n_digits(counts: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return how many decimal digits each number has; numbers are at least 0."""
    import numpy as np

    digits = np.ones(len(counts), np.int32)
    largest = int(counts.max(initial=0))
    power = 10
    while power <= largest:
        digits += counts >= power
        power *= 10
    return digits


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
    """Cut lines behind line ends into pieces of about `_PIECE_BYTES`; one that is empty where there are none."""
    while True:
        end = lines.find(b"\n", begin + _PIECE_BYTES - 1) + 1 or len(lines)
        yield begin, end
        if end == len(lines):
            return
        begin = end

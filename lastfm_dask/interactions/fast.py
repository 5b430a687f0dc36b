"""The fast path of the reader: a block parsed by pyarrow's CSV reader, and its rejects taken out of the columns.

pyarrow.csv reads some lines differently from `schema`, or stops at them. What it would misread is covered while it
parses: a carriage return that ends no line by a byte that the block does not hold, and in lines that are not UTF-8
all but ASCII by question marks. It skips lines with another number of fields, and says which. Every other reason for a
reject is found in the columns, so a few rejects cost next to nothing. For the rest (a line longer than allowed, a
byte order mark at the start, hundreds of lines with another number of fields) the answer is None; and for anything but
rows where the schema has quotes, since records and lines differ then.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions.places import LinePlaces
from lastfm_dask.interactions.rows import Reasons, Rows
from lastfm_dask.interactions.schema import (
    ARTIST,
    MAX_LINE_BYTES,
    MAX_REJECT_BYTES,
    MBID,
    REASONS,
    USER,
    Schema,
)
from lastfm_dask.interactions.utf8 import invalid_places, is_utf8
from lastfm_dask.interactions.values import parse_plays, parse_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Bytes = npt.NDArray[np.uint8]
    Places = npt.NDArray[np.int64]

BOM = b"\xef\xbb\xbf"
_RETURN, _LINE_END = 13, 10
_SELDOM = b"\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
"""Bytes that may stand in for others while Arrow parses: characters that hardly any log contains."""
_WINDOW_BYTES = MAX_LINE_BYTES // 2
"""A line that is too long covers at least one whole window of this size, so a window without a line end is
reason enough for the exact path."""
_MOST_SKIPPED = 256
"""Lines with another number of fields that Arrow skips: it calls Python for each."""
_FEW = 16
_COVERED_SHARE = 16
"""More than this part of a block is not covered: its places would take as much memory as the block."""
_UTF8_PIECE_BYTES = (64 << 10, 4 << 10)


def read_fast(lines: bytes | bytearray, begin: int, schema: Schema) -> Rows | None:
    """Read lines as `reader.read_exactly` does, or return None if Arrow can't, or is no faster."""
    import numpy as np
    import pyarrow as pa

    if begin == len(lines) or lines.startswith(BOM, begin) or may_be_too_long(lines, begin):
        return None
    text, start, delimiter = lines, begin, schema.delimiter.encode()
    if len(delimiter) > 1:
        # Arrow splits only at a single byte.
        sign = _unused(lines)
        if sign is None:
            return None
        text, start, delimiter = lines[begin:].replace(delimiter, sign), 0, sign
    bytes_ = np.frombuffer(text, np.uint8)[start:]
    stray, (invalid, not_ascii) = _stray_returns(text, start), _invalid(text, start)
    sign = _unused(text, delimiter) if len(stray) else b"?"
    if schema.quote and (text is not lines or len(stray) or len(invalid)):
        return None
    if sign is None or len(stray) + len(not_ascii) > len(bytes_) // _COVERED_SHARE + _FEW:
        return None
    with _covered(bytes_, ((stray, sign), (not_ascii, b"?"))) as covered:
        try:
            columns, skipped = _parse(covered, schema, delimiter.decode())
        except pa.ArrowInvalid:
            return None
    if len(stray):
        columns = {role: _with_returns(values, sign) for role, values in columns.items()}
    places = LinePlaces(bytes_)
    unreadable = np.unique(places.numbers(invalid))
    if text is not lines:
        places = LinePlaces(np.frombuffer(lines, np.uint8)[begin:])
    rows = _to_rows(columns, np.array(skipped, np.int64), unreadable, places, schema)
    return None if schema.quote and len(rows.reject_lines) else rows


def may_be_too_long(lines: bytes | bytearray, begin: int) -> bool:
    """Whether a line may be longer than allowed; where one is, this is true."""
    windows = range(begin, len(lines) - _WINDOW_BYTES, _WINDOW_BYTES)
    return any(lines.find(b"\n", start, start + _WINDOW_BYTES) < 0 for start in windows)


def _unused(lines: bytes | bytearray, but: bytes = b"") -> bytes | None:
    """Return a byte that lines do not hold, and that is not the delimiter; None if they hold all of them."""
    signs = (bytes([sign]) for sign in _SELDOM)
    return next((sign for sign in signs if sign != but and sign not in lines), None)


def _stray_returns(lines: bytes | bytearray, begin: int) -> Places:
    """Return where carriage returns stand that end no line, counted from `begin`."""
    import numpy as np

    few: list[int] = []
    place = lines.find(b"\r", begin)
    while place >= 0 and len(few) < _FEW:
        few.append(place - begin)
        place = lines.find(b"\r", place + 1)
    bytes_ = np.frombuffer(lines, np.uint8)[begin:]
    found = np.array(few, np.int64) if place < 0 else np.flatnonzero(bytes_ == _RETURN)
    at_end = found == len(bytes_) - 1
    stray: Places = found[at_end | (bytes_[found + ~at_end] != _LINE_END)]
    return stray


def _invalid(lines: bytes | bytearray, begin: int) -> tuple[Places, Places]:
    """Return where bytes stand that are not UTF-8, and where in these lines bytes stand that are not ASCII."""
    import numpy as np

    bytes_ = np.frombuffer(lines, np.uint8)
    invalid, not_ascii = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    if not is_utf8(bytes_[begin:]):
        for start, end in _invalid_pieces(lines, begin, len(lines), _UTF8_PIECE_BYTES):
            piece = bytes_[start:end]
            ends = np.flatnonzero(piece == _LINE_END)
            wrong, others = invalid_places(piece), np.flatnonzero(piece >= 0x80)
            in_same = np.isin(np.searchsorted(ends, others), np.searchsorted(ends, wrong))
            invalid.append(wrong + (start - begin))
            not_ascii.append(others[in_same] + (start - begin))
    return np.concatenate(invalid), np.concatenate(not_ascii)


def _invalid_pieces(
    lines: bytes | bytearray, start: int, end: int, sizes: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield where pieces of whole lines begin and end that are not UTF-8, looked for in pieces of smaller and smaller size."""
    view = memoryview(lines)
    while start < end:
        stop = lines.find(b"\n", start + sizes[0] - 1, end) + 1 or end
        if not is_utf8(view[start:stop]):
            if len(sizes) > 1:
                yield from _invalid_pieces(lines, start, stop, sizes[1:])
            else:
                yield start, stop
        start = stop


@contextmanager
def _covered(bytes_: Bytes, covers: Sequence[tuple[Places, bytes]]) -> Iterator[pa.Buffer]:
    """Give the bytes with others in some places; those that can be written to are as they were afterwards."""
    import pyarrow as pa

    if not any(len(places) for places, _ in covers):
        yield pa.py_buffer(bytes_)
        return
    covered = bytes_ if bytes_.flags.writeable else bytes_.copy()
    kept = [bytes_[places] for places, _ in covers]
    for places, sign in covers:
        covered[places] = sign[0]
    try:
        yield pa.py_buffer(covered)
    finally:
        if covered is bytes_:
            for (places, _), values in zip(covers, kept, strict=True):
                bytes_[places] = values


def _parse(buffer: pa.Buffer, schema: Schema, delimiter: str) -> tuple[dict[str, Any], list[int]]:
    """Return the columns that are read, by role, and the numbers of the lines that have another number of fields.

    Raises ArrowInvalid where these are too many.
    """
    import pyarrow as pa
    from pyarrow import csv

    skipped: list[int] = []

    def skip(row: csv.InvalidRow) -> str:
        skipped.append(row.number - 1)
        return "skip" if len(skipped) <= _MOST_SKIPPED else "error"

    names = [role if role in schema.roles else f"-{i}" for i, role in enumerate(schema.columns)]
    roles = list(schema.roles)
    types = dict.fromkeys(roles, pa.string()) | {USER: pa.dictionary(pa.int32(), pa.string())}
    table = csv.read_csv(
        pa.BufferReader(buffer),
        read_options=csv.ReadOptions(use_threads=False, block_size=buffer.size + 1, column_names=names),
        parse_options=csv.ParseOptions(
            delimiter=delimiter,
            quote_char=schema.quote or False,
            newlines_in_values=bool(schema.quote),
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=roles,
            strings_can_be_null=False,
            null_values=[],
            # What is not valid was found and covered before.
            check_utf8=False,
        ),
    )
    return {role: table[role].combine_chunks() for role in roles}, skipped


def _with_returns(values: pa.Array, sign: bytes) -> pa.Array:
    """Return texts in which carriage returns stand again in place of what covered them."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, _with_returns(values.dictionary, sign))
    _, offsets, data = values.buffers()
    text = np.frombuffer(data or b"", np.uint8)
    covered = np.flatnonzero(text == sign[0])
    if not len(covered):
        return values
    text = text.copy()
    text[covered] = _RETURN
    return pa.Array.from_buffers(
        values.type, len(values), [None, offsets, pa.py_buffer(text)], offset=values.offset
    )


def _to_rows(
    columns: dict[str, Any], skipped: Places, unreadable: Places, places: LinePlaces, schema: Schema
) -> Rows:
    """Return the rows to keep, and the rejects among all lines.

    Parameters
    ----------
    columns : dict
        The fields of all lines but those skipped.
    skipped, unreadable : ndarray of int64
        The lines that Arrow skipped, and those that are not UTF-8, in order.
    places : LinePlaces
        The lines as in the source.
    schema : Schema
        What the fields are.
    """
    import pyarrow as pa

    user, artist = columns[USER], columns[ARTIST]
    reasons = _name_reasons(user, artist, skipped, unreadable)
    plays, time = reasons.numbers(columns, schema, parse_plays, parse_times)
    mbid = columns[MBID] if schema.with_mbid else None
    n_lines = len(user) + len(skipped)
    rejected = reasons.rejected()
    if len(rejected):
        kept = reasons.of < 0
        mask = pa.array(kept)
        user, artist, plays = _users_of(user, rejected, mask), _without(artist, rejected, mask), plays[kept]
        mbid = None if mbid is None else _without(mbid, rejected, mask)
        time = None if time is None else time[kept]
    lines, codes, raw = _rejects(reasons, skipped, places)
    return Rows(
        user=user,
        artist=artist,
        plays=plays,
        mbid=mbid,
        time=time,
        n_lines=n_lines,
        reject_lines=lines,
        reject_reasons=codes,
        reject_bytes=raw,
    )


def _name_reasons(
    user: pa.DictionaryArray, artist: pa.StringArray, skipped: Places, unreadable: Places
) -> Reasons:
    """Return which rows are rejected for their encoding or an empty name."""
    import numpy as np
    import pyarrow.compute as pc

    reasons = Reasons(len(user))
    if len(unreadable):
        unreadable = np.setdiff1d(unreadable, skipped, assume_unique=True)
        reasons.of[unreadable - np.searchsorted(skipped, unreadable)] = REASONS.index("invalid_utf8")
    empty = np.flatnonzero(pc.binary_length(user.dictionary).to_numpy() == 0)
    if len(empty):
        reasons.reject(user.indices.to_numpy() == empty[0], "empty_user")
    reasons.reject(pc.binary_length(artist).to_numpy() == 0, "empty_artist")
    return reasons


def _rejects(
    reasons: Reasons, skipped: Places, places: LinePlaces
) -> tuple[Places, npt.NDArray[np.int8], pa.BinaryArray]:
    """Return the lines, reasons and bytes of all rejects, in order of their lines."""
    import numpy as np
    import pyarrow.compute as pc

    field_count = np.int8(REASONS.index("field_count"))
    rejected = reasons.rejected()
    # A row's line: skipped lines before it do not count among the rows.
    lines = rejected + np.searchsorted(skipped - np.arange(len(skipped)), rejected, side="right")
    lines = np.concatenate((lines, skipped))
    order = np.argsort(lines)
    codes = np.concatenate((reasons.of[rejected], np.full(len(skipped), field_count)))[order]
    raw = places.raw(lines[order], MAX_REJECT_BYTES)
    # Arrow reads an empty line as one of empty fields.
    codes[pc.binary_length(raw).to_numpy() == 0] = field_count
    return lines[order], codes, raw


def _without(texts: pa.StringArray, rejected: npt.NDArray[np.intp], mask: pa.BooleanArray) -> pa.StringArray:
    """Return the texts of the rows kept: between a few rejects they are copied in one go, which a mask is not."""
    import pyarrow as pa

    if len(rejected) > _FEW:
        return texts.filter(mask)
    starts, ends = [0, *(rejected + 1).tolist()], [*rejected.tolist(), len(texts)]
    return pa.concat_arrays(
        [texts.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]
    )


def _users_of(
    user: pa.DictionaryArray, rejected: npt.NDArray[np.intp], mask: pa.BooleanArray
) -> pa.DictionaryArray:
    """Return the users of the rows kept; listed anew, in order of first appearance, where a user's first row is not."""
    import pyarrow as pa

    codes = user.indices.to_numpy()
    if len(rejected) <= _FEW and all(codes[row] <= codes[:row].max(initial=-1) for row in rejected):
        return user.filter(mask)
    codes = user.indices.filter(mask).dictionary_encode()
    return pa.DictionaryArray.from_arrays(codes.indices, user.dictionary.take(codes.dictionary))

"""A block's lines read into columns and rejects, by two paths with equal results.

The fast path is pyarrow's CSV reader. It judges some lines otherwise than `schema` does (a bare carriage return
ends a row, ` 5` and `0x1F` are numbers, a byte order mark vanishes), and any reject stops it; a block in which
that could matter takes the exact path, which cuts fields by the positions of line ends and delimiters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions.schema import (
    ARTIST,
    MAX_LINE_BYTES,
    MAX_PLAYS,
    MAX_REJECT_BYTES,
    MBID,
    PLAYS,
    REASONS,
    USER,
    Schema,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

BOM = b"\xef\xbb\xbf"
_MAX_DIGITS = len(str(MAX_PLAYS))
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
    artist : StringArray
        The artist of each row kept, as written in the source.
    plays : ndarray of int32
        The plays of each row kept.
    mbid : StringArray or None
        The MBID of each row kept, where the schema asks for it.
    n_lines : int
        Lines in the block, a header among them.
    reject_lines : ndarray of int64
        The line within the block, from 0, of each row rejected.
    reject_reasons : ndarray of int8
        Indices into `REASONS`.
    reject_bytes : list of bytes
        Each row's bytes up to the line end, at most 1 KiB.
    """

    user: pa.DictionaryArray
    artist: pa.StringArray
    plays: npt.NDArray[np.int32]
    mbid: pa.StringArray | None
    n_lines: int
    reject_lines: npt.NDArray[np.int64]
    reject_reasons: npt.NDArray[np.int8]
    reject_bytes: list[bytes]


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
    rows = _read_fast(lines, begin, schema)
    if rows is None:
        rows = read_exactly(lines, begin, schema)
    return _shifted(rows, n_header_lines) if n_header_lines else rows


def _shifted(rows: Rows, n_header_lines: int) -> Rows:
    from dataclasses import replace

    return replace(
        rows, n_lines=rows.n_lines + n_header_lines, reject_lines=rows.reject_lines + n_header_lines
    )


def _read_fast(lines: bytes | bytearray, begin: int, schema: Schema) -> Rows | None:
    """Read lines none of which is rejected and all of which Arrow judges as `schema` does; else return None."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if begin == len(lines) or not _is_plain(lines, begin):
        return None
    try:
        table = _parse(pa.py_buffer(lines)[begin:], schema)
        plays = pc.cast(table[PLAYS], pa.int32())
    except pa.ArrowInvalid:
        return None
    counts = plays.to_numpy()
    user, artist = table[USER], table[ARTIST]
    # A number that takes as many characters as its digits was written in plain digits.
    if (
        counts.min(initial=1) < 1
        or not np.array_equal(pc.binary_length(table[PLAYS]).to_numpy(), _n_digits(counts))
        or pc.min(pc.binary_length(user.dictionary)).as_py() == 0
        or pc.min(pc.binary_length(artist)).as_py() == 0
    ):
        return None
    return Rows(
        user=user,
        artist=artist,
        plays=counts,
        mbid=table[MBID] if schema.with_mbid else None,
        n_lines=len(counts),
        reject_lines=np.empty(0, np.int64),
        reject_reasons=np.empty(0, np.int8),
        reject_bytes=[],
    )


def _is_plain(lines: bytes | bytearray, begin: int) -> bool:
    """Whether lines hold nothing that Arrow's CSV reader would judge otherwise, and no line too long."""
    if lines.startswith(BOM, begin):
        return False
    if b"\r" in lines and lines.count(b"\r") != lines.count(b"\r\n"):
        return False
    windows = range(begin, len(lines) - _WINDOW_BYTES, _WINDOW_BYTES)
    if any(lines.find(b"\n", start, start + _WINDOW_BYTES) < 0 for start in windows):
        return False
    return _is_utf8(lines)


def _is_utf8(lines: bytes | bytearray) -> bool:
    """Whether all of the bytes are valid UTF-8, judged without a copy."""
    import numpy as np
    import pyarrow as pa

    offsets = np.array([0, len(lines)], np.int64)
    whole = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(lines)])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _parse(buffer: pa.Buffer, schema: Schema) -> dict[str, Any]:
    """Return the columns that are read, by role; raises ArrowInvalid at the first line with other fields."""
    import pyarrow as pa
    from pyarrow import csv

    names = [role if role != "-" else f"-{i}" for i, role in enumerate(schema.columns)]
    roles = [USER, ARTIST, PLAYS, *([MBID] if schema.with_mbid else [])]
    types = dict.fromkeys(roles, pa.string()) | {USER: pa.dictionary(pa.int32(), pa.string())}
    table = csv.read_csv(
        pa.BufferReader(buffer),
        read_options=csv.ReadOptions(use_threads=False, block_size=buffer.size + 1, column_names=names),
        parse_options=csv.ParseOptions(
            delimiter=schema.delimiter, quote_char=False, newlines_in_values=False, ignore_empty_lines=False
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
    """Read lines of any content, by the positions of line ends and delimiters (see `read_rows`)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = _Cells(lines, begin, schema)
    reason = np.full(cells.n_lines, -1, np.int8)

    def reject(lines_found: npt.NDArray[np.bool_], name: str) -> None:
        reason[lines_found & (reason < 0)] = REASONS.index(name)

    reject(cells.ends - cells.starts > MAX_LINE_BYTES, "line_too_long")
    reject(cells.n_fields != len(schema.columns), "field_count")
    if not _is_utf8(lines):
        reject(cells.invalid_utf8(), "invalid_utf8")
    for role in (USER, ARTIST):
        candidates = np.flatnonzero(reason < 0)
        empty = np.zeros(cells.n_lines, np.bool_)
        empty[candidates] = cells.lengths(role, candidates) == 0
        reject(empty, f"empty_{role}")
    candidates = np.flatnonzero(reason < 0)
    written = cells.values(PLAYS, candidates).cast(pa.string())
    is_number = np.asarray(pc.match_substring_regex(written, r"\A[0-9]+\z"))
    reason[candidates[~is_number]] = REASONS.index("plays_not_a_number")
    digits = pc.ascii_ltrim(written.filter(pa.array(is_number)), "0")
    n_digits = pc.binary_length(digits).to_numpy()
    short = (n_digits > 0) & (n_digits <= _MAX_DIGITS)
    counts = np.zeros(len(digits), np.int64)
    counts[short] = digits.filter(pa.array(short)).cast(pa.int64()).to_numpy()
    in_range = (counts >= 1) & (counts <= MAX_PLAYS)
    candidates = candidates[is_number]
    reason[candidates[~in_range]] = REASONS.index("plays_out_of_range")
    kept, rejected = np.flatnonzero(reason < 0), np.flatnonzero(reason >= 0)
    return Rows(
        user=cells.values(USER, kept).cast(pa.string()).dictionary_encode(),
        artist=cells.values(ARTIST, kept).cast(pa.string()),
        plays=counts[in_range].astype(np.int32),
        mbid=cells.values(MBID, kept).cast(pa.string()) if schema.with_mbid else None,
        n_lines=cells.n_lines,
        reject_lines=rejected,
        reject_reasons=reason[rejected],
        reject_bytes=[cells.raw(line) for line in rejected.tolist()],
    )


class _Cells:
    """The lines of a block and where their fields lie."""

    def __init__(self, lines: bytes | bytearray, begin: int, schema: Schema) -> None:
        import numpy as np

        self.lines = lines
        self.schema = schema
        bytes_ = np.frombuffer(lines, np.uint8)
        stops = np.flatnonzero(bytes_[begin:] == ord("\n")) + begin
        after = int(stops[-1]) + 1 if len(stops) else begin
        if after < len(lines):
            stops = np.append(stops, len(lines))
        self.n_lines = len(stops)
        self.starts = np.concatenate(([begin], stops[:-1] + 1)) if self.n_lines else stops
        # One carriage return right before the line feed belongs to the line end.
        has_return = (stops > self.starts) & (stops < len(lines)) & (bytes_[stops - 1] == ord("\r"))
        self.ends = stops - has_return
        self.delimiters = np.flatnonzero(bytes_ == ord(schema.delimiter))
        self.first = np.searchsorted(self.delimiters, self.starts)
        self.n_fields = np.searchsorted(self.delimiters, self.ends) - self.first + 1

    def invalid_utf8(self) -> npt.NDArray[np.bool_]:
        """Whether each line is invalid UTF-8."""
        import numpy as np

        found = np.zeros(self.n_lines, np.bool_)
        for i, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            if not self.lines[start:end].isascii():
                try:
                    self.lines[start:end].decode()
                except UnicodeDecodeError:
                    found[i] = True
        return found

    def _bounds(
        self, role: str, lines: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return where a field starts and ends in these lines, each of which has all fields."""
        field, last = self.schema.columns.index(role), len(self.schema.columns) - 1
        starts = self.delimiters[self.first[lines] + field - 1] + 1 if field else self.starts[lines]
        ends = self.delimiters[self.first[lines] + field] if field < last else self.ends[lines]
        return starts, ends

    def lengths(self, role: str, lines: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return a field's bytes in these lines."""
        starts, ends = self._bounds(role, lines)
        return ends - starts

    def values(self, role: str, lines: npt.NDArray[np.intp]) -> pa.LargeBinaryArray:
        """Return a field in these lines: every other one of the slices between its starts and its ends."""
        import numpy as np
        import pyarrow as pa

        starts, ends = self._bounds(role, lines)
        offsets = np.append(np.stack((starts, ends), axis=1).ravel(), len(self.lines)).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.lines)]
        slices = pa.Array.from_buffers(pa.large_binary(), 2 * len(lines), buffers)
        return slices.take(pa.array(np.arange(0, 2 * len(lines), 2)))

    def raw(self, line: int) -> bytes:
        """Return the bytes of a line up to its end, as many as are kept of a reject."""
        start, end = int(self.starts[line]), int(self.ends[line])
        return bytes(self.lines[start : min(end, start + MAX_REJECT_BYTES)])

"""Records with quoted fields (RFC 4180): find their ends, and read them.

A quote opens only at the start of a field. Inside, a doubled quote stands for one, and delimiters and line ends are
text. Text after a closing quote, up to the delimiter, belongs to the field, and quotes elsewhere are text: Python's csv
reads the same.
A record whose quote is not closed within 1 MiB of the record's start is rejected (`unclosed_quote`), and reading goes on
at the line after the one on which the quote opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lastfm_dask.interactions import fast, reader
from lastfm_dask.interactions.exact import Cells, find_all, parse_fields
from lastfm_dask.interactions.rows import joined
from lastfm_dask.interactions.schema import MAX_LINE_BYTES, MAX_REJECT_BYTES, REASONS, Schema
from lastfm_dask.interactions.utf8 import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.interactions.rows import Rows

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Records:
    """Where the records in some bytes lie, the first of which starts a record.

    Attributes
    ----------
    starts, stops : ndarray, shape (n,)
        Bounds of the complete records; a stop lies behind the line end.
    opens, closes : ndarray, shape (m,)
        The first and the last byte of quoted text, its quotes included. Doubled quotes may split one text in two.
    unclosed : ndarray, shape (n,), bool
        Records whose last quote is not closed.
    """

    starts: npt.NDArray[np.intp]
    stops: npt.NDArray[np.intp]
    opens: npt.NDArray[np.intp]
    closes: npt.NDArray[np.intp]
    unclosed: npt.NDArray[np.bool_]

    def outside(self, places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return the places outside quoted text."""
        import numpy as np

        if not len(self.opens):
            return places
        before = np.searchsorted(self.opens, places, side="right") - 1
        return places[(before < 0) | (places > self.closes[before])]


def find_records(data: bytes | bytearray, schema: Schema, *, final: bool) -> Records:
    """Return the complete records in some bytes.

    Parameters
    ----------
    data : bytes-like
        Starts where a record does.
    schema : Schema
        With a quote.
    final : bool
        Whether nothing follows; otherwise a last record that may continue is left out.
    """
    import numpy as np

    bytes_ = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(bytes_ == ord(schema.quote))
    found = None
    if _is_well_formed(bytes_, quotes, schema, final=final):
        opens, closes = quotes[0::2], quotes[1::2]
        found = _between(bytes_, opens[: len(closes)], closes, [], final=final)
        if len(opens) > len(closes):
            found = _before(found, int(opens[-1]))
        if (len(found.starts) and int((found.stops - found.starts).max()) > MAX_LINE_BYTES) or len(data) - (
            int(found.stops[-1]) if len(found.stops) else 0
        ) > MAX_LINE_BYTES:
            found = None
    if found is None:
        found = _one_by_one(data, bytes_, schema, final=final)
    return found


def _is_well_formed(
    bytes_: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], schema: Schema, *, final: bool
) -> bool:
    """Whether each second quote opens a field, or goes on in one right behind the first of a doubled quote.

    Then text is quoted where the number of quotes before it is odd.
    """
    import numpy as np

    if not len(quotes):
        return True
    delimiter = schema.delimiter.encode()
    if len(delimiter) > 1 or (len(quotes) % 2 and final):
        return False
    opens, closes = quotes[0::2], quotes[1::2]
    before = bytes_[opens - 1]
    starts_field = (opens == 0) | (before == delimiter[0]) | (before == ord("\n"))
    starts_field[1:] |= opens[1:] == closes[: len(opens) - 1] + 1
    return bool(np.all(starts_field))


def _between(
    bytes_: npt.NDArray[np.uint8],
    opens: npt.NDArray[np.intp],
    closes: npt.NDArray[np.intp],
    unclosed: list[int],
    *,
    final: bool,
) -> Records:
    """Return the records that end at line ends outside quoted text; `unclosed` are the stops of records to reject."""
    import numpy as np

    empty = np.empty(0, np.intp)
    marks = Records(empty, empty, opens, closes, np.empty(0, np.bool_))
    stops = marks.outside(np.flatnonzero(bytes_ == ord("\n"))) + 1
    if final and len(bytes_) and (not len(stops) or stops[-1] < len(bytes_)):
        stops = np.append(stops, len(bytes_))
    starts = np.concatenate((np.zeros(1, np.intp), stops[:-1])) if len(stops) else stops
    return Records(starts, stops, opens, closes, np.isin(stops, unclosed))


def _before(found: Records, place: int) -> Records:
    """Return the records that end before a place."""
    n = int((found.stops <= place).sum())
    return replace(found, starts=found.starts[:n], stops=found.stops[:n], unclosed=found.unclosed[:n])


def _one_by_one(
    data: bytes | bytearray, bytes_: npt.NDArray[np.uint8], schema: Schema, *, final: bool
) -> Records:
    """Find the records quote by quote, for any content."""
    import numpy as np

    quote, delimiter = schema.quote.encode(), re.escape(schema.delimiter.encode())
    opening = re.compile(rb"(?:\A|(?<=\n)|(?<=%s))%s" % (delimiter, re.escape(quote)))
    opens, closes, unclosed = [], [], []
    start = at = 0
    incomplete = None
    while match := opening.search(data, at):
        place = match.end() - 1
        # The record's start: behind the last line end since the last quoted text.
        start = data.rfind(b"\n", at, place) + 1 or start
        limit = start + MAX_LINE_BYTES
        close = _closing(data, place, quote, limit)
        if close is not None and not final and close + 1 == len(data):
            # The quote may be the first of a doubled one.
            incomplete = start
            break
        if close is None:
            stop = data.find(b"\n", place) + 1
            if not final and (len(data) <= limit or not stop):
                incomplete = start
                break
            unclosed.append(stop or len(data))
            start = at = stop or len(data)
            continue
        opens.append(place)
        closes.append(close)
        at = close + 1
    found = _between(
        bytes_,
        np.array(opens, np.intp),
        np.array(closes, np.intp),
        unclosed,
        final=final and incomplete is None,
    )
    return found if incomplete is None else _before(found, incomplete)


def _closing(data: bytes | bytearray, place: int, quote: bytes, limit: int) -> int | None:
    """Return where the quote that opened at a place closes; None if not before the limit."""
    close = data.find(quote, place + 1, limit)
    while close >= 0 and data[close + 1 : close + 2] == quote:
        close = data.find(quote, close + 2, limit)
    return close if close >= 0 else None


class QuotedCells(Cells):
    """Records, and the positions of their fields."""

    def __init__(self, lines: memoryview, schema: Schema, records: Records) -> None:
        import numpy as np

        self.lines, self.schema = lines, schema
        bytes_ = np.frombuffer(lines, np.uint8)
        self.line_stops = np.flatnonzero(bytes_ == ord("\n"))
        is_ended = len(lines) > 0 and bytes_[-1] == ord("\n")
        self.n_lines = len(self.line_stops) + (len(lines) > 0 and not is_ended)
        self.starts, self.unclosed = records.starts, records.unclosed
        last = records.stops - 1
        ends = records.stops - (bytes_[last] == ord("\n"))
        has_return = (ends > self.starts) & (ends < records.stops) & (bytes_[ends - 1] == ord("\r"))
        self.ends = ends - has_return
        delimiter = schema.delimiter.encode()
        self.width = len(delimiter)
        self.delimiters = records.outside(find_all(bytes_, delimiter))
        self.first = np.searchsorted(self.delimiters, self.starts)
        self.n_fields = np.searchsorted(self.delimiters, self.ends) - self.first + 1

    def reasons(self) -> npt.NDArray[np.int8]:
        """Return why each record is malformed (see `exact.Fields`)."""
        import numpy as np

        reason = np.full(len(self.starts), -1, np.int8)
        if not is_utf8(self.lines):
            reason[self.invalid_utf8()] = REASONS.index("invalid_utf8")
        reason[self.n_fields != len(self.schema.columns)] = REASONS.index("field_count")
        reason[self.unclosed] = REASONS.index("unclosed_quote")
        reason[self.ends - self.starts > MAX_LINE_BYTES] = REASONS.index("line_too_long")
        return reason

    def lines_of(self, records: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return the line on which each of these records starts."""
        import numpy as np

        return np.searchsorted(self.line_stops, self.starts[records]).astype(np.int64)

    def values(self, role: str, lines: npt.NDArray[np.intp]) -> pa.StringArray:
        """Return a field of these records, without its quotes."""
        import pyarrow as pa
        import pyarrow.compute as pc

        written = super().values(role, lines)
        quote = self.schema.quote
        is_quoted = pc.starts_with(written, quote)
        if not pc.any(is_quoted).as_py():
            return written
        mark = re.escape(quote)
        parts = pc.extract_regex(
            written.filter(is_quoted),
            rf"(?s)\A{mark}(?P<text>(?:[^{mark}]|{mark}{mark})*){mark}(?P<rest>.*)\z",
        )
        text = pc.replace_substring(parts.field("text"), quote * 2, quote)
        plain = pc.binary_join_element_wise(text, parts.field("rest"), "")
        plain = pc.coalesce(pc.if_else(parts.is_valid(), plain, None), written.filter(is_quoted))
        return pc.replace_with_mask(written, is_quoted, plain.cast(pa.string()))

    def raw(self, lines: npt.NDArray[np.intp]) -> pa.BinaryArray:
        """Return the first line of each of these records, as far as a reject keeps it."""
        import numpy as np
        import pyarrow as pa

        starts, ends = self.starts[lines], self.ends[lines]
        line_ends = np.append(self.line_stops, len(self.lines))[self.lines_of(lines)]
        ends = np.minimum(ends, np.minimum(line_ends, starts + MAX_REJECT_BYTES))
        found = [
            bytes(self.lines[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        # A record's first line may end in the carriage return of a line end inside quotes.
        return pa.array([line.removesuffix(b"\r") for line in found], pa.binary())


def read_rows(lines: bytes | bytearray, schema: Schema, *, file_start: bool) -> Rows:
    """Read a block's whole records (see `reader.read_rows`), a piece after the other."""
    begin = len(fast.BOM) if file_start and lines.startswith(fast.BOM) else 0
    n_header_lines = 0
    if file_start and schema.header:
        stop = _end_of_first(lines, begin, schema)
        n_header_lines = max(1, lines.count(b"\n", begin, stop))
        begin = stop
    pieces = [_read_piece(piece, records, schema) for piece, records in _pieces(lines, begin, schema)]
    rows = reader.encoded(joined(pieces))
    return reader.shifted(rows, n_header_lines) if n_header_lines else rows


def _end_of_first(lines: bytes | bytearray, begin: int, schema: Schema) -> int:
    head = lines[begin : begin + 2 * MAX_LINE_BYTES]
    records = find_records(head, schema, final=True)
    return begin + int(records.stops[0]) if len(records.stops) else len(lines)


def _pieces(lines: bytes | bytearray, begin: int, schema: Schema) -> Iterator[tuple[bytes, Records]]:
    """Cut records into pieces of about `_PIECE_BYTES`; one that is empty if there are none."""
    wanted = _PIECE_BYTES
    while True:
        end = min(begin + wanted, len(lines))
        piece = bytes(lines[begin:end])
        records = find_records(piece, schema, final=end == len(lines))
        n_bytes = int(records.stops[-1]) if len(records.stops) else 0
        if n_bytes or end == len(lines):
            yield piece[:n_bytes], records
            wanted = _PIECE_BYTES
        else:
            wanted *= 2
        begin += n_bytes
        if begin == len(lines) or (end == len(lines) and not n_bytes):
            return


def _read_piece(piece: bytes, records: Records, schema: Schema) -> Rows:
    rows = None
    if not records.unclosed.any() and (
        not len(records.starts) or int((records.stops - records.starts).max()) <= MAX_LINE_BYTES
    ):
        rows = fast.read_fast(piece, 0, schema)
    if rows is None or len(rows.plays) != len(records.starts):
        with memoryview(piece) as view:
            return parse_fields(QuotedCells(view, schema, records), schema)
    n_lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
    return replace(rows, user=rows.user.dictionary_decode(), n_lines=n_lines)

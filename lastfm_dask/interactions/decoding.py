"""Text in encodings other than UTF-8, decoded block by block; line numbers and rejects' bytes are those of the source.

A line of the source is one line of the decoded text. What can't be decoded becomes bytes that are not UTF-8, so that
the readers reject exactly that line.
"""

from __future__ import annotations

import codecs
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from lastfm_dask.interactions.schema import MAX_LINE_BYTES, MAX_REJECT_BYTES, REASONS, UTF8

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.interactions.rows import Rows

_PROBE_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20
TRUNCATED_BYTES = MAX_LINE_BYTES + 16
"""How much is kept of a longer line: enough to see that it is too long, in whole units of any encoding."""
_MARK = "lastfm_dask.mark"
_UNDECODABLE = "\udcff"

codecs.register_error(_MARK, lambda error: (_UNDECODABLE, error.end))  # type: ignore[attr-defined]


def line_end_of(encoding: str) -> bytes:
    r"""Return the bytes of a line feed: `\n`, of two or four bytes in UTF-16 and UTF-32, another one in EBCDIC."""
    return "\n".encode(encoding)


def line_stops(data: bytes | bytearray, line_end: bytes) -> npt.NDArray[np.intp]:
    """Return the offsets just after line ends; `data` starts at a code unit of the encoding."""
    import numpy as np

    width = len(line_end)
    kind = {1: np.uint8, 2: np.uint16, 4: np.uint32}[width]
    units = np.frombuffer(data, kind, len(data) // width)
    return (np.flatnonzero(units == np.frombuffer(line_end, kind)[0]) + 1) * width


def read_lines(read: Callable[[int, int], bytearray], start: int, end: int, line_end: bytes) -> bytearray:
    """Return the whole lines whose first unit starts in [start, end), as `blocks.read_lines` does for UTF-8."""
    width = len(line_end)
    start, end = -(-start // width) * width, -(-end // width) * width
    lead = width if start else 0
    lines = read(start - lead, end - start + lead)
    if lead:
        stops = line_stops(lines, line_end)
        del lines[: int(stops[0]) if len(stops) else len(lines)]
    offset = end
    while lines:
        stops = line_stops(lines, line_end)
        last = int(stops[-1]) if len(stops) else 0
        if last >= len(lines) - len(lines) % width or len(lines) - last > TRUNCATED_BYTES:
            break
        piece = read(offset, _PROBE_BYTES)
        found = line_stops(piece, line_end)
        lines += piece[: int(found[0]) if len(found) else len(piece)]
        if len(found) or len(piece) < _PROBE_BYTES:
            break
        offset += len(piece)
    return lines


def decode(raw: bytes | bytearray, encoding: str) -> bytes | bytearray:
    """Return whole lines as UTF-8, one line for each; a line that can't be decoded is not valid UTF-8.

    Works piece by piece, since a text takes up to four bytes a character between two encodings.
    """
    import numpy as np

    if encoding == UTF8:
        return raw
    stops = line_stops(raw, line_end_of(encoding))
    if not len(stops) or stops[-1] < len(raw):
        stops = np.append(stops, len(raw))
    decoded, first = bytearray(), 0
    start = 0
    while first < len(stops):
        last = max(first + 1, int(np.searchsorted(stops, start + _PIECE_BYTES, side="right")))
        decoded += _decoded(raw, [start, *stops[first:last].tolist()], encoding)
        first, start = last, int(stops[last - 1])
    return decoded


def _decoded(raw: bytes | bytearray, bounds: list[int], encoding: str) -> bytes:
    """Return the lines between these bounds as UTF-8."""
    line_end = line_end_of(encoding)
    piece = raw[bounds[0] : bounds[-1]]
    text = codecs.decode(piece, encoding, _MARK).encode(UTF8, "surrogatepass")
    longest = max(stop - start for start, stop in pairwise(bounds))
    n_ends = len(bounds) - 1 - (not piece.endswith(line_end))
    if text.count(b"\n") == n_ends and longest <= MAX_LINE_BYTES:
        return text
    # If a line end is inside another character, or a line is too long, decode line by line.
    return b"".join(_line(raw[start:stop], encoding) for start, stop in pairwise(bounds))


def _line(raw: bytes | bytearray, encoding: str) -> bytes:
    line_end = line_end_of(encoding)
    is_ended = raw.endswith(line_end)
    content = raw.removesuffix(line_end)
    if len(content) > MAX_LINE_BYTES + len("\r".encode(encoding)):
        text = b"x" * (MAX_LINE_BYTES + 2)
    else:
        decoded = codecs.decode(content, encoding, _MARK).replace("\n", _UNDECODABLE)
        text = decoded.encode(UTF8, "surrogatepass")
    return text + b"\n" * is_ended


def read_decoded(
    raw: bytes | bytearray, encoding: str, read: Callable[[bytes | bytearray], Rows], *, file_start: bool
) -> Rows:
    """Read a block's whole lines in another encoding.

    Parameters
    ----------
    raw : bytes-like
        Whole lines in that encoding.
    encoding : str
        A codec's name.
    read : callable
        Reads the same lines in UTF-8.
    file_start : bool
        Whether the block is the first of its file: then a byte order mark is not part of the first line.
    """
    rows = read(decode(raw, encoding))
    if not len(rows.reject_lines):
        return rows
    mark = "\ufeff".encode(encoding, "ignore") if encoding.startswith(("utf-16", "utf-32")) else b""
    skipped = len(mark) if file_start and mark and raw.startswith(mark) else 0
    reasons = rows.reject_reasons.copy()
    reasons[reasons == REASONS.index("invalid_utf8")] = REASONS.index("invalid_encoding")
    return replace(
        rows, reject_reasons=reasons, reject_bytes=_raw_lines(raw, encoding, rows.reject_lines, skipped)
    )


def _raw_lines(
    raw: bytes | bytearray, encoding: str, lines: npt.NDArray[np.int64], skipped: int
) -> pa.BinaryArray:
    """Return the bytes of these lines without line ends, as far as a reject keeps them."""
    import numpy as np
    import pyarrow as pa

    line_end, carriage_return = line_end_of(encoding), "\r".encode(encoding)
    stops = line_stops(raw, line_end)
    starts = np.concatenate(([skipped], stops))[lines].tolist()
    ends = np.append(stops, len(raw) + len(line_end))[lines] - len(line_end)
    found = []
    for start, end in zip(starts, ends.tolist(), strict=True):
        line = bytes(raw[start : min(end, start + MAX_REJECT_BYTES + len(line_end))])
        # A carriage return before the line feed belongs to the line end.
        is_ended = end < len(raw) and start + len(line) == end
        found.append((line.removesuffix(carriage_return) if is_ended else line)[:MAX_REJECT_BYTES])
    return pa.array(found, pa.binary())

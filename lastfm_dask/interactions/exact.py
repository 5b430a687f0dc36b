"""The exact path of the reader: lines of any content, cut by the positions of line ends and delimiters.

Works on a piece of a block at a time, since positions take many times the bytes of short lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

_MAX_DIGITS = len(str(MAX_PLAYS))


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of a piece: the columns of `reader.Rows`, users as they come."""

    user: pa.StringArray
    artist: pa.StringArray
    plays: npt.NDArray[np.int32]
    mbid: pa.StringArray | None
    n_lines: int
    reject_lines: npt.NDArray[np.int64]
    reject_reasons: npt.NDArray[np.int8]
    reject_bytes: pa.BinaryArray


def is_utf8(lines: bytes | bytearray | memoryview) -> bool:
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


def read_piece(lines: memoryview, schema: Schema) -> Piece:
    """Read whole lines of less than 2 GiB, the last of which may lack its end."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = _Cells(lines, schema)
    reason = np.full(cells.n_lines, -1, np.int8)

    def reject(lines_found: npt.NDArray[np.bool_], name: str) -> None:
        reason[lines_found & (reason < 0)] = REASONS.index(name)

    reject(cells.ends - cells.starts > MAX_LINE_BYTES, "line_too_long")
    reject(cells.n_fields != len(schema.columns), "field_count")
    if not is_utf8(lines):
        reject(cells.invalid_utf8(), "invalid_utf8")
    for role in (USER, ARTIST):
        candidates = np.flatnonzero(reason < 0)
        empty = np.zeros(cells.n_lines, np.bool_)
        empty[candidates] = cells.lengths(role, candidates) == 0
        reject(empty, f"empty_{role}")
    candidates = np.flatnonzero(reason < 0)
    written = cells.values(PLAYS, candidates)
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
    return Piece(
        user=cells.values(USER, kept),
        artist=cells.values(ARTIST, kept),
        plays=counts[in_range].astype(np.int32),
        mbid=cells.values(MBID, kept) if schema.with_mbid else None,
        n_lines=cells.n_lines,
        reject_lines=rejected,
        reject_reasons=reason[rejected],
        reject_bytes=cells.raw(rejected),
    )


class _Cells:
    """Lines and where their fields lie."""

    def __init__(self, lines: memoryview, schema: Schema) -> None:
        import numpy as np

        self.lines = lines
        self.schema = schema
        bytes_ = np.frombuffer(lines, np.uint8)
        stops = np.flatnonzero(bytes_ == ord("\n"))
        after = int(stops[-1]) + 1 if len(stops) else 0
        if after < len(lines):
            stops = np.append(stops, len(lines))
        self.n_lines = len(stops)
        self.starts = np.concatenate(([0], stops[:-1] + 1)) if self.n_lines else stops
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
            try:
                bytes(self.lines[start:end]).decode()
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

    def values(self, role: str, lines: npt.NDArray[np.intp]) -> pa.StringArray:
        """Return a field in these lines, which are valid UTF-8."""
        import pyarrow as pa

        return self._slices(*self._bounds(role, lines), pa.string())

    def raw(self, lines: npt.NDArray[np.intp]) -> pa.BinaryArray:
        """Return the bytes of these lines up to their ends, as many as are kept of a reject."""
        import numpy as np
        import pyarrow as pa

        starts = self.starts[lines]
        return self._slices(starts, np.minimum(self.ends[lines], starts + MAX_REJECT_BYTES), pa.binary())

    def _slices(
        self, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], kind: pa.DataType
    ) -> pa.Array:
        """Return the bytes between places that follow each other: every other one of the slices that they cut."""
        import numpy as np
        import pyarrow as pa

        offsets = np.append(np.stack((starts, ends), axis=1).ravel(), len(self.lines)).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.lines)]
        slices = pa.Array.from_buffers(kind, 2 * len(starts), buffers)
        return slices.take(pa.array(np.arange(0, 2 * len(starts), 2)))

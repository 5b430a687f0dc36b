"""The exact path of the reader: split lines of any content by the positions of line ends and delimiters.

Works on one piece of a block at a time, since positions take many times the bytes of short lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lastfm_dask.interactions.places import slices
from lastfm_dask.interactions.rows import Rows
from lastfm_dask.interactions.schema import (
    ARTIST,
    MAX_LINE_BYTES,
    MAX_REJECT_BYTES,
    MBID,
    PLAYS,
    REASONS,
    TIME,
    USER,
    Schema,
)
from lastfm_dask.interactions.utf8 import invalid_places, is_utf8
from lastfm_dask.interactions.values import parse_plays, parse_times

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def find_all(bytes_: npt.NDArray[np.uint8], needle: bytes) -> npt.NDArray[np.intp]:
    """Return the offsets of a short text in bytes, without overlaps, from the left as in `bytes.split`."""
    import numpy as np

    found = np.flatnonzero(bytes_ == needle[0])
    for i, sign in enumerate(needle[1:], 1):
        found = found[found + i < len(bytes_)]
        found = found[bytes_[found + i] == sign]
    if len(needle) > 1 and len(found) > 1 and int(np.diff(found).min()) < len(needle):
        places, free = [], 0
        for place in found.tolist():
            if place >= free:
                places.append(place)
                free = place + len(needle)
        found = np.array(places, np.intp)
    return found


def read_piece(lines: memoryview, schema: Schema) -> Rows:
    """Read whole lines of less than 2 GiB, the last of which may lack its end."""
    return parse_fields(Cells(lines, schema), schema)


class Fields(Protocol):
    """Records split into fields, before their values are parsed."""

    n_lines: int
    """Lines, of which a record may have several."""

    def reasons(self) -> npt.NDArray[np.int8]:
        """Return why each record is malformed, as an index into `REASONS`; -1 if it is not."""

    def values(self, role: str, records: npt.NDArray[np.intp]) -> pa.StringArray:
        """Return a field of these records, which have all fields and are valid UTF-8."""

    def raw(self, records: npt.NDArray[np.intp]) -> pa.BinaryArray:
        """Return the bytes that are kept of these records as rejects."""

    def lines_of(self, records: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return the line on which each of these records starts, from 0."""


def parse_fields(fields: Fields, schema: Schema) -> Rows:
    """Keep the records that are rows; record why the others are rejected."""
    import numpy as np
    import pyarrow.compute as pc

    reason = fields.reasons()
    times = plays = np.empty(0, np.int64)

    def candidates() -> npt.NDArray[np.intp]:
        return np.flatnonzero(reason < 0)

    def reject(records: npt.NDArray[np.intp], name: str) -> None:
        reason[records] = REASONS.index(name)

    for role in (USER, ARTIST):
        left = candidates()
        reject(left[pc.binary_length(fields.values(role, left)).to_numpy() == 0], f"empty_{role}")
    left = candidates()
    if schema.events:
        plays = np.ones(len(left), np.int32)
    else:
        plays, is_number, in_range = parse_plays(fields.values(PLAYS, left), schema.values)
        reject(left[~is_number], "plays_not_a_number")
        reject(left[is_number & ~in_range], "plays_out_of_range")
        plays = plays[in_range]
    if schema.with_time:
        left = candidates()
        times, is_time = parse_times(fields.values(TIME, left))
        reject(left[~is_time], "invalid_time")
        plays, times = plays[is_time], times[is_time]
    kept, rejected = candidates(), np.flatnonzero(reason >= 0)
    return Rows(
        user=fields.values(USER, kept),
        artist=fields.values(ARTIST, kept),
        plays=plays,
        mbid=fields.values(MBID, kept) if schema.with_mbid else None,
        time=times if schema.with_time else None,
        n_lines=fields.n_lines,
        reject_lines=fields.lines_of(rejected),
        reject_reasons=reason[rejected],
        reject_bytes=fields.raw(rejected),
    )


class Cells:
    """Lines, and the positions of their fields."""

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
        # A carriage return right before the line feed belongs to the line end.
        has_return = (stops > self.starts) & (stops < len(lines)) & (bytes_[stops - 1] == ord("\r"))
        self.ends = stops - has_return
        delimiter = schema.delimiter.encode()
        self.width = len(delimiter)
        self.delimiters = find_all(bytes_, delimiter)
        self.first = np.searchsorted(self.delimiters, self.starts)
        self.n_fields = np.searchsorted(self.delimiters, self.ends) - self.first + 1

    def reasons(self) -> npt.NDArray[np.int8]:
        """Return why each line is malformed (see `Fields`)."""
        import numpy as np

        reason = np.full(self.n_lines, -1, np.int8)
        if not is_utf8(self.lines):
            reason[self.invalid_utf8()] = REASONS.index("invalid_utf8")
        reason[self.n_fields != len(self.schema.columns)] = REASONS.index("field_count")
        reason[self.ends - self.starts > MAX_LINE_BYTES] = REASONS.index("line_too_long")
        return reason

    def lines_of(self, records: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return the lines themselves: a record is a line."""
        return records

    def invalid_utf8(self) -> npt.NDArray[np.bool_]:
        """Whether each line is invalid UTF-8."""
        import numpy as np

        found = np.zeros(len(self.starts), np.bool_)
        found[
            np.searchsorted(self.starts, invalid_places(np.frombuffer(self.lines, np.uint8)), side="right")
            - 1
        ] = True
        return found

    def _bounds(
        self, role: str, lines: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the start and end of a field in these lines, each of which has all fields."""
        field, last = self.schema.columns.index(role), len(self.schema.columns) - 1
        starts = self.delimiters[self.first[lines] + field - 1] + self.width if field else self.starts[lines]
        ends = self.delimiters[self.first[lines] + field] if field < last else self.ends[lines]
        return starts, ends

    def values(self, role: str, lines: npt.NDArray[np.intp]) -> pa.StringArray:
        """Return a field in these lines, which are valid UTF-8."""
        import pyarrow as pa

        return slices(self.lines, *self._bounds(role, lines), pa.string())

    def raw(self, lines: npt.NDArray[np.intp]) -> pa.BinaryArray:
        """Return the bytes of these lines without line ends, as far as a reject keeps them."""
        import numpy as np
        import pyarrow as pa

        starts = self.starts[lines]
        return slices(
            self.lines, starts, np.minimum(self.ends[lines], starts + MAX_REJECT_BYTES), pa.binary()
        )

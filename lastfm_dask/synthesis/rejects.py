"""Lines that are not rows, put into a synthetic log: spread evenly, of four kinds in turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

KINDS = ("no artist", "no plays", "missing field", "stray carriage return")
"""An empty name, zero plays, a missing last field, and a carriage return before the plays."""
_NO_ARTIST, _NO_PLAYS, _MISSING_FIELD, _STRAY_RETURN = range(len(KINDS))


def reject_rows(n_rows: int, n_rejects: int | None) -> npt.NDArray[np.int64] | None:
    """Return the lines that are not rows: each in the middle of an equal part of the log; None for None."""
    if n_rejects is None:
        return None
    return (2 * np.arange(n_rejects, dtype=np.int64) + 1) * n_rows // max(2 * n_rejects, 1)


@dataclass(frozen=True, slots=True)
class Broken:
    """The lines of one block of the log that are not rows: their places in the block, and their kinds."""

    rows: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rejects: npt.NDArray[np.int64] | None, lines: range) -> Broken:
        """Return those of the log's rejects that lie in a block with these lines."""
        rejects = np.empty(0, np.int64) if rejects is None else rejects
        first, stop = np.searchsorted(rejects, (lines.start, lines.stop))
        return cls(rejects[first:stop] - lines.start, np.arange(first, stop) % len(KINDS))

    def put(self, artists: npt.NDArray[np.int64], plays: npt.NDArray[np.int64], *, empty: int) -> None:
        """Give a line without an artist the empty one, and the others no plays."""
        artists[self.rows[self.kinds == _NO_ARTIST]] = empty
        plays[self.rows[self.kinds != _NO_ARTIST]] = 0

    @property
    def without_plays(self) -> npt.NDArray[np.int64]:
        """The rows that are broken as lines, and so have no plays in columns."""
        return self.rows[self.kinds >= _MISSING_FIELD]

    def cut(self, pieces: list[memoryview | bytes]) -> list[memoryview | bytes]:
        """Return the bytes of the lines, the first piece but for the last line end, with what is broken in them."""
        lines, *rest = pieces
        is_cut = self.kinds >= _MISSING_FIELD
        if not is_cut.any():
            return pieces
        found: list[memoryview | bytes] = []
        lines, at = memoryview(lines), 0
        ends = np.append(np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")), len(lines))
        for row, kind in zip(self.rows[is_cut].tolist(), self.kinds[is_cut].tolist(), strict=True):
            start, end = int(ends[row - 1]) + 1 if row else 0, int(ends[row])
            tab = start + bytes(lines[start:end]).rindex(b"\t")
            if kind == _MISSING_FIELD:
                found.append(lines[at:tab])
                at = end
            else:
                found += [lines[at : tab + 1], b"\r"]
                at = tab + 1
        return [*found, lines[at:], *rest]

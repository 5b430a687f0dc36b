"""Rejected rows: written to `rejects.tsv`, counted by reason, and shown where there are too many."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from lastfm_dask.interactions.encoding import column
from lastfm_dask.interactions.schema import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    import pyarrow as pa

_SAMPLES = 100
_AT_ONCE = 1 << 14
"""Rows that become Python's objects at once."""


class Reject(NamedTuple):
    """A rejected row: its file, its line from 1, why it was rejected, and what is kept of it."""

    path: str
    line: int
    reason: str
    raw: bytes


class RejectsWriter:
    """Writes one line a rejected row: file, line from 1, reason, and the row's bytes, at most 1 KiB, as they are.

    The row's bytes are the last field and may hold tabs.

    Parameters
    ----------
    path : Path
        The file to write.
    files : sequence of str
        The source's files, by number.

    Attributes
    ----------
    counts : dict
        Rows rejected by reason, in order of precedence; no zeros.
    samples : list of Reject
        The first of them.
    """

    def __init__(self, path: Path, files: Sequence[str]) -> None:
        self._file = path.open("wb")
        self._files = files
        self._counts = [0] * len(REASONS)
        self.samples: list[Reject] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, file: int, lines_before: int, batch: pa.RecordBatch) -> None:
        """Add the rejects of an encoded block, before which its file has `lines_before` lines."""
        rows: tuple[Any, Any, Any] = (
            column(batch, "reject_lines"),
            column(batch, "reject_reasons"),
            column(batch, "reject_bytes"),
        )
        for first in range(0, len(rows[0]), _AT_ONCE):
            self._write(file, lines_before, *(values[first : first + _AT_ONCE].tolist() for values in rows))

    def _write(self, file: int, lines_before: int, *rows: list[Any]) -> None:
        for line, reason, raw in zip(*rows, strict=True):
            self._counts[reason] += 1
            number, path = lines_before + line + 1, self._files[file]
            self._file.write(b"%s\t%d\t%s\t%s\n" % (os.fsencode(path), number, REASONS[reason].encode(), raw))
            if len(self.samples) < _SAMPLES:
                self.samples.append(Reject(path, number, REASONS[reason], raw))

    @property
    def counts(self) -> dict[str, int]:
        """Rows rejected by reason; reasons that did not occur are left out."""
        return {reason: n for reason, n in zip(REASONS, self._counts, strict=True) if n}

"""Rejected rows: written to `rejects.tsv`, counted by reason, and shown if there are too many."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lastfm_dask.interactions.encoding import column
from lastfm_dask.interactions.schema import REASONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_SAMPLES = 100
_AT_ONCE = 1 << 11
"""How many rows are formatted in memory at once."""


class Reject(NamedTuple):
    """A rejected row: its file, its line from 1, the reason, and its first bytes."""

    path: str
    line: int
    reason: str
    raw: bytes


class RejectsWriter:
    """Writes one line for each rejected row: file, line from 1, reason, and the row's first 1 KiB unchanged.

    The row's bytes are the last field and may contain tabs.

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
        import numpy as np

        self._file = path.open("wb")
        self._files = files
        self._counts: npt.NDArray[np.int64] = np.zeros(len(REASONS), np.int64)
        self.samples: list[Reject] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, file: int, lines_before: int, batch: pa.RecordBatch) -> None:
        """Add the rejects of an encoded block that follows `lines_before` lines of its file."""
        lines, reasons = column(batch, "reject_lines"), column(batch, "reject_reasons")
        raw = column(batch, "reject_bytes")
        for first in range(0, len(lines), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            self._write(self._files[file], lines[part] + (lines_before + 1), reasons[part], raw[part])

    def _write(
        self, path: str, numbers: npt.NDArray[np.int64], reasons: npt.NDArray[np.int8], raw: pa.BinaryArray
    ) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        names = pa.array([reason.encode() for reason in REASONS], pa.binary()).take(pa.array(reasons))
        written = pa.array(numbers).cast(pa.string()).cast(pa.binary())
        lines = pc.binary_join_element_wise(os.fsencode(path), written, names, raw, b"\t")
        lines = pc.binary_join_element_wise(lines, b"", b"\n")
        _, ends, data = lines.buffers()
        self._file.write(memoryview(data)[: np.frombuffer(ends, np.int32)[len(lines)]])
        self._counts += np.bincount(reasons, minlength=len(REASONS))
        for i in range(min(len(raw), _SAMPLES - len(self.samples))):
            self.samples.append(Reject(path, int(numbers[i]), REASONS[reasons[i]], raw[i].as_py()))

    @property
    def counts(self) -> dict[str, int]:
        """Rows rejected by reason; reasons that did not occur are left out."""
        return {reason: n for reason, n in zip(REASONS, self._counts.tolist(), strict=True) if n}

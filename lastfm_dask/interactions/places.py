"""The places of lines in a block: line numbers by offset and offsets by line number, from counts of line ends.

Line ends are counted chunk by chunk, only as far as needed; only chunks with a line of interest are searched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Places = npt.NDArray[np.int64]

_CHUNK_BYTES = 256 << 10
_RETURN, _LINE_END = 13, 10


class LinePlaces:
    """The lines of a block, numbered from 0.

    Parameters
    ----------
    bytes_ : ndarray of uint8
        Whole lines, the last of which may lack its end.
    """

    def __init__(self, bytes_: npt.NDArray[np.uint8]) -> None:
        import numpy as np

        self._bytes = bytes_
        self._is_end = np.empty(min(_CHUNK_BYTES, len(bytes_)), np.bool_)
        self._n_before = [0]
        """Line ends before each chunk that was counted, and before the next one."""

    def numbers(self, places: Places) -> Places:
        """Return the number of the line in which each of these places lies; places come in order."""
        import numpy as np

        def in_chunk(chunk: int, wanted: Places) -> Places:
            numbers: Places = self._n_before[chunk] + np.searchsorted(self._ends(chunk), wanted)
            return numbers

        chunks = places // _CHUNK_BYTES
        while len(chunks) and len(self._n_before) <= chunks[-1]:
            self._count_next()
        return _by_chunk(chunks, places, in_chunk)

    def bounds(self, numbers: Places) -> tuple[Places, Places]:
        """Return where each of these lines starts, and where its line end stands; numbers come in order."""
        return self._end_places(numbers - 1) + 1, self._end_places(numbers)

    def raw(self, numbers: Places, most_bytes: int) -> pa.BinaryArray:
        """Return the bytes of these lines up to their line ends, each cut at `most`; numbers come in order."""
        import numpy as np
        import pyarrow as pa

        if not len(numbers):
            return pa.array([], pa.binary())
        starts, ends = self.bounds(numbers)
        # A carriage return right before a line feed belongs to the line end.
        ends -= (ends > starts) & (ends < len(self._bytes)) & (self._bytes[ends - 1] == _RETURN)
        return slices(self._bytes, starts, np.minimum(ends, starts + most_bytes), pa.binary())

    def _end_places(self, numbers: Places) -> Places:
        """Return where line ends stand; -1 for the one before the first line, the length for a missing last one."""
        import numpy as np

        def in_chunk(chunk: int, wanted: Places) -> Places:
            ends: Places = self._ends(chunk)[wanted - self._n_before[chunk]]
            return ends

        found = np.full(len(numbers), -1, np.int64)
        while len(numbers) and self._n_before[-1] <= numbers[-1] and self._count_next():
            pass
        is_there = (numbers >= 0) & (numbers < self._n_before[-1])
        wanted = numbers[is_there]
        chunks = np.searchsorted(np.array(self._n_before), wanted, side="right") - 1
        found[is_there] = _by_chunk(chunks, wanted, in_chunk)
        found[numbers >= self._n_before[-1]] = len(self._bytes)
        return found

    def _count_next(self) -> bool:
        """Count the line ends of one more chunk; return whether there was one."""
        import numpy as np

        start = (len(self._n_before) - 1) * _CHUNK_BYTES
        chunk = self._bytes[start : start + _CHUNK_BYTES]
        is_end = np.equal(chunk, _LINE_END, out=self._is_end[: len(chunk)])
        self._n_before.append(self._n_before[-1] + int(np.count_nonzero(is_end)))
        return len(chunk) > 0

    def _ends(self, chunk: int) -> Places:
        """Return where a chunk's line ends stand."""
        import numpy as np

        start = chunk * _CHUNK_BYTES
        return start + np.flatnonzero(self._bytes[start : start + _CHUNK_BYTES] == _LINE_END)


def _by_chunk(chunks: Places, wanted: Places, look: Callable[[int, Places], Places]) -> Places:
    """Run a search in each chunk that has some of the wanted lines; chunks come in order."""
    import numpy as np

    if not len(wanted):
        return wanted
    firsts = np.concatenate(([0], np.flatnonzero(np.diff(chunks)) + 1))
    parts = zip(chunks[firsts].tolist(), np.split(wanted, firsts[1:]), strict=True)
    return np.concatenate([look(chunk, part) for chunk, part in parts])


def slices(
    bytes_: npt.NDArray[np.uint8] | memoryview,
    starts: npt.NDArray[Any],
    ends: npt.NDArray[Any],
    kind: pa.DataType,
) -> pa.Array:
    """Return copies of the bytes from each even-numbered place to the next one."""
    import numpy as np
    import pyarrow as pa

    offsets = np.append(np.stack((starts, ends), axis=1).ravel(), len(bytes_)).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(bytes_)]
    cut = pa.Array.from_buffers(kind, 2 * len(starts), buffers)
    return cut.take(pa.array(np.arange(0, 2 * len(starts), 2)))

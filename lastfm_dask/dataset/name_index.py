"""Finds names by a 64-bit key of their length and ends: sorted keys and positions, 12 bytes a name.

For repeated lookups: building it takes as long as a hundred scans, and each lookup takes microseconds. A key says
where a name may be; the caller compares the name itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

_ENDS = 8
"""How many bytes of each end go into a key."""
_FACTOR = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class NameIndex:
    """The keys of all names of an Arrow array of strings, sorted.

    Parameters
    ----------
    names : pyarrow.StringArray
        Without missing names.
    """

    def __init__(self, names: pa.StringArray) -> None:
        keys = _keys_of(names)
        self.positions = np.argsort(keys, kind="stable").astype(np.int32)
        self.keys = keys[self.positions]

    def candidates(self, name: str) -> npt.NDArray[np.int32]:
        """Return where names with this name's key stand, in order; nearly always one or none."""
        key = np.uint64(key_of(name.encode()))
        first, last = np.searchsorted(self.keys, key, "left"), np.searchsorted(self.keys, key, "right")
        return self.positions[first:last]


def key_of(name: bytes) -> int:
    """Return the key of one name in UTF-8."""
    key = len(name)
    for byte in (*_padded(name[:_ENDS]), *_padded(name[::-1][:_ENDS])):
        key = (key * _FACTOR + byte) & _MASK
    return key


def _padded(part: bytes) -> bytes:
    return part.ljust(_ENDS, b"\0")


def _keys_of(names: pa.StringArray) -> npt.NDArray[np.uint64]:
    """Return `key_of` of all names, byte after byte for all of them at once."""
    _, offsets, data = names.buffers()
    ends = np.frombuffer(offsets, np.int32)[names.offset : names.offset + len(names) + 1]
    text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    starts, lengths = ends[:-1], np.diff(ends)
    keys = lengths.astype(np.uint64)
    factor = np.uint64(_FACTOR)
    for first, step in ((starts, 1), (ends[1:] - 1, -1)):
        for k in range(_ENDS):
            # Beyond a name's end all bytes are zero, whatever the next name begins with.
            places = np.clip(first + step * k, 0, len(text) - 1)
            keys *= factor
            keys += np.where(k < lengths, text[places], 0).astype(np.uint64)
    return keys

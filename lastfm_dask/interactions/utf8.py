"""Validation of UTF-8 over many lines at once, without decoding. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def is_utf8(lines: bytes | bytearray | memoryview | npt.NDArray[np.uint8]) -> bool:
    """Whether all of the bytes are valid UTF-8, checked without a copy."""
    import numpy as np
    import pyarrow as pa

    offsets = np.array([0, len(lines)], np.int64)
    whole = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(lines)])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def invalid_places(bytes_: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the offsets of bytes that are not part of a valid sequence, in order.

    A truncated sequence is reported where it starts, so the line after a line end is not affected.

    Parameters
    ----------
    bytes_ : ndarray of uint8
        Whole lines.
    """
    import numpy as np

    places = np.flatnonzero(bytes_ >= 0x80)
    if not len(places):
        return places
    # Unicode 16, table 3-7: the second byte's range depends on the first; all others are 80..BF.
    lead = bytes_[places]
    after = [_at(bytes_, places + i) for i in (1, 2, 3)]
    is_next = [(byte & 0xC0) == 0x80 for byte in after]
    least = np.select([lead == 0xE0, lead == 0xF0], [0xA0, 0x90], 0x80)
    most = np.select([lead == 0xED, lead == 0xF4], [0x9F, 0x8F], 0xBF)
    n_after = np.select([lead < 0xC2, lead < 0xE0, lead < 0xF0, lead < 0xF5], [0, 1, 2, 3], 0)
    starts = (n_after > 0) & (after[0] >= least) & (after[0] <= most)
    starts &= (n_after < 2) | is_next[1]
    starts &= (n_after < 3) | is_next[2]
    valid = starts.copy()
    for i in (1, 2, 3):
        valid[np.searchsorted(places, places[starts & (n_after >= i)] + i)] = True
    return places[~valid]


def _at(bytes_: npt.NDArray[np.uint8], places: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """Return the bytes at these offsets; 0 beyond the end."""
    import numpy as np

    found = bytes_[np.minimum(places, len(bytes_) - 1)]
    found[places >= len(bytes_)] = 0
    return found

"""Estimate the number of distinct names in the encoded blocks from their smallest hashes.

The sample behind the plan may be unrepresentative. If more names turn up than fit, this tells how much memory is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lastfm_dask.interactions.encoding import column

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.ingestion.spool import Blocks

KEPT_HASHES = 1 << 16
"""How many of the smallest hashes are kept: counts are exact up to this many distinct names, and within 2 % above."""
_SIGMAS = 4
_FACTOR = 0x9E3779B97F4A7C15


@dataclass(slots=True)
class NameCount:
    """How many names of one role are distinct, and their bytes."""

    _hashes: npt.NDArray[np.uint64] | None = field(default=None, repr=False)
    _lengths: npt.NDArray[np.int64] | None = field(default=None, repr=False)

    def see(self, names: pa.StringArray) -> None:
        """Add the names of a piece; the smallest hashes are kept (Bar-Yossef et al. 2002)."""
        import numpy as np

        hashes, lengths = hash_names(names)
        if self._hashes is not None and self._lengths is not None:
            if len(self._hashes) == KEPT_HASHES:
                small = hashes < self._hashes[-1]
                hashes, lengths = hashes[small], lengths[small]
            hashes = np.concatenate([self._hashes, hashes])
            lengths = np.concatenate([self._lengths, lengths])
        hashes, first = np.unique(hashes, return_index=True)
        self._hashes, self._lengths = hashes[:KEPT_HASHES], lengths[first][:KEPT_HASHES]

    def at_most(self) -> tuple[int, int]:
        """Return an upper bound of the number of distinct names and of their bytes; exact if there are few."""
        import numpy as np

        if self._hashes is None or self._lengths is None:
            return 0, 0
        n_kept = len(self._hashes)
        if n_kept < KEPT_HASHES:
            return n_kept, int(self._lengths.sum())
        error = _SIGMAS / np.sqrt(n_kept)
        n = float(n_kept - 1) * 2.0**64 / float(self._hashes[-1]) * (1 + error)
        return int(n), int(n * (float(self._lengths.mean()) + error * float(self._lengths.std())))


def count_distinct(spool: Blocks, n_blocks: int) -> tuple[NameCount, NameCount]:
    """Count the distinct users and artists of all pieces; reads their names once."""
    users, artists = NameCount(), NameCount()
    for number in range(n_blocks):
        for piece in spool.get(number):
            users.see(column(piece, "users"))
            artists.see(column(piece, "artists"))
    return users, artists


def hash_names(names: pa.StringArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return a 64-bit hash of each name, eight bytes after eight for all at once, and the names' bytes."""
    import numpy as np

    _, offsets, data = names.buffers()
    ends = np.frombuffer(offsets, np.int32)[names.offset : names.offset + len(names) + 1].astype(np.int64)
    first = int(ends[0]) if len(ends) else 0
    text = np.zeros((int(ends[-1]) if len(ends) else 0) - first + 8, np.uint8)
    if data is not None:
        text[:-8] = np.frombuffer(data, np.uint8)[first : first + len(text) - 8]
    words: npt.NDArray[np.uint64] = np.ndarray((len(text) - 7,), "<u8", text, strides=(1,))
    starts, lengths = ends[:-1] - first, np.diff(ends)
    factor, half = np.uint64(_FACTOR), np.uint64(32)
    hashes = (lengths.astype(np.uint64) + np.uint64(1)) * factor
    active, done = np.flatnonzero(lengths > 0), 0
    while len(active):
        left = lengths[active] - done
        word = words[starts[active] + done]
        short = left < 8
        word[short] &= (np.uint64(1) << (np.uint64(8) * left[short].astype(np.uint64))) - np.uint64(1)
        mixed = (hashes[active] ^ word) * factor
        mixed ^= mixed >> half
        hashes[active] = mixed * factor
        done += 8
        active = active[left > 8]
    return hashes ^ (hashes >> half), lengths

"""First and last listen of each pair of user and artist, stored beside the matrix.

Until a chunk of rows is sorted, `first_listen.npy` holds the time of every row, by user in source order. Afterwards it
holds the first listen of each pair, and `last_listen.npy` the last, both aligned with `data.npy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.dataset import layout

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

NO_TIME = -(1 << 63)
"""NumPy's NaT: the time of a listen is unknown, as for an added user."""


@dataclass(frozen=True, slots=True)
class Listens:
    """The two arrays while they are built, mapped: int64 milliseconds since 1970."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    @classmethod
    def create(cls, output: Path, n_rows: int) -> Listens:
        """Create the two files, with a place for each row of the source."""
        import numpy as np

        from lastfm_dask.dataset.arrays import create_array

        first, last = (create_array(output / name, (n_rows,), np.int64) for name in layout.LISTENS)
        return cls(first, last)

    def join(self, start: int, pairs: npt.NDArray[np.uint64]) -> None:
        """Reduce the times of a chunk of rows to the first and last of each pair, in order of the pairs.

        Parameters
        ----------
        start : int
            Where the chunk's rows begin.
        pairs : ndarray of uint64
            The user and the column of each row, in one number; not sorted.
        """
        import numpy as np

        order = np.argsort(pairs, kind="stable")
        times = self.first[start : start + len(pairs)][order]
        pairs = pairs[order]
        is_first = np.ones(len(pairs), np.bool_)
        np.not_equal(pairs[1:], pairs[:-1], out=is_first[1:])
        firsts = np.flatnonzero(is_first)
        for array, reduce in ((self.first, np.minimum), (self.last, np.maximum)):
            array[start : start + len(firsts)] = reduce.reduceat(times, firsts)

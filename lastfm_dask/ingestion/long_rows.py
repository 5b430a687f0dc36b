"""A user with very many rows: summed by artist and its median found without sorting, so that rows cost no memory.

The rows stay in the mapped files and are read block by block. What is held is a sum for each artist, whatever the
number of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

BLOCK_ROWS = 1 << 16
"""Rows that are read at once."""
ARTIST_BYTES = 32
"""By artist: the sum, and of those that the user has the column and the sum again."""
_HIGH_BITS = 16
_PLAYS_BITS = 31
_RANGE_ROWS = 1 << 18


def sum_by_artist(
    columns: npt.NDArray[np.integer], plays: npt.NDArray[np.int32], n_artists: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct columns of a user's rows, ascending, and the plays of each, summed exactly.

    Parameters
    ----------
    columns, plays : ndarray, shape (n_rows,)
        Mapped; plays are at least 1.
    n_artists : int
        Columns that there are.
    """
    import numpy as np

    sums = np.zeros(n_artists, np.int64)
    for part in _blocks(len(plays)):
        np.add.at(sums, columns[part], plays[part].astype(np.int64))
    found = np.flatnonzero(sums)
    return found, sums[found]


def median(plays: npt.NDArray[np.int32]) -> float:
    """Return the median of whole numbers below 2^31: their high halves are counted, then the low ones in the middle."""
    import numpy as np

    places = sorted({(len(plays) - 1) // 2, len(plays) // 2})
    high = np.zeros(1 << _HIGH_BITS, np.int64)
    for part in _blocks(len(plays)):
        high += np.bincount(plays[part] >> _HIGH_BITS, minlength=len(high))
    ends = np.cumsum(high)
    found = []
    for place in places:
        half = int(np.searchsorted(ends, place, side="right"))
        low = np.zeros(1 << _HIGH_BITS, np.int64)
        for part in _blocks(len(plays)):
            block = plays[part]
            low += np.bincount(
                block[block >> _HIGH_BITS == half] & ((1 << _HIGH_BITS) - 1), minlength=len(low)
            )
        before = int(ends[half] - high[half])
        found.append(
            (half << _HIGH_BITS) + int(np.searchsorted(np.cumsum(low), place - before, side="right"))
        )
    return sum(found) / len(found)


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK_ROWS, n_rows)) for start in range(0, n_rows, BLOCK_ROWS))


def repeated(
    columns: npt.NDArray[np.integer], plays: npt.NDArray[np.int32], n_artists: int, exact: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield artist, plays and number of rows, ascending, for artists with several rows or plays above `exact`.

    The rows are read once for each range of artists with some hundred thousand of them.
    """
    import numpy as np

    rows, chosen = np.zeros(n_artists, np.int64), np.zeros(n_artists, np.bool_)
    for part in _blocks(len(plays)):
        np.add.at(rows, columns[part], 1)
        chosen[columns[part][plays[part] > exact]] = True
    chosen |= rows > 1
    artists = np.flatnonzero(chosen)
    ranges = np.cumsum(rows[artists]) // _RANGE_ROWS
    for number in np.unique(ranges):
        of_range = artists[ranges == number]
        keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for part in _blocks(len(plays)):
            block = columns[part].astype(np.int64)
            inside = (block >= of_range[0]) & (block <= of_range[-1]) & chosen[block]
            found = np.concatenate((keys, block[inside] << _PLAYS_BITS | plays[part][inside]))
            weights = np.concatenate((counts, np.ones(len(found) - len(keys), np.int64)))
            keys, inverse = np.unique(found, return_inverse=True)
            counts = np.zeros(len(keys), np.int64)
            np.add.at(counts, inverse, weights)
        yield keys >> _PLAYS_BITS, keys & ((1 << _PLAYS_BITS) - 1), counts

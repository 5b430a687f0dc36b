"""A user with very many rows: summed by artist and their median found without sorting, in memory independent of the rows.

The rows stay in the mapped files and are read block by block. Memory holds one sum for each artist.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

BLOCK_ROWS = 1 << 16
"""Rows that are read at once."""
ARTIST_BYTES = 32
"""By artist: the sum; for the user's artists also the column and a copy of the sum."""
_HIGH_BITS = 16
_PLAYS_BITS = 31
RANGE_ROWS = 1 << 18
REPEATED_ROW_BYTES = 64
"""By row of a range in which repeated rows are counted: keys, their order, places and counts."""
_BAND_BITS = 15


def sum_by_artist(
    columns: npt.NDArray[np.integer], plays: npt.NDArray[np.int32], n_artists: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct columns of a user's rows, ascending, and the plays of each, summed exactly.

    Parameters
    ----------
    columns, plays : ndarray, shape (n_rows,)
        Mapped; plays are at least 1.
    n_artists : int
        Columns of the matrix.
    """
    import numpy as np

    sums = np.zeros(n_artists, np.int64)
    for part in _blocks(len(plays)):
        np.add.at(sums, columns[part], plays[part].astype(np.int64))
    found = np.flatnonzero(sums)
    return found, sums[found]


def median(plays: npt.NDArray[np.int32]) -> float:
    """Return the median of integers below 2^31: count the high halves, then the low halves of the middle ones."""
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
    is_alone = rows[artists] > RANGE_ROWS
    # An artist with more rows is a range of its own, divided by plays.
    ranges = np.cumsum(is_alone) + np.cumsum(np.append(0, is_alone[:-1])) << 40
    ranges += np.cumsum(rows[artists]) // RANGE_ROWS
    for number in np.unique(ranges):
        of_range = artists[ranges == number]
        first, last = int(of_range[0]), int(of_range[-1])
        bands = [(0, 1 << _PLAYS_BITS)]
        if rows[first] > RANGE_ROWS:
            bands = _bands(columns, plays, first)
        for low, high in bands:
            yield _counted(columns, plays, chosen, (first, last), (low, high))


def held_bytes(longest: int, n_artists: int) -> int:
    """Return the bytes held for a user with this many rows: sums by artist, and the rows that are counted at once."""
    return ARTIST_BYTES * n_artists + REPEATED_ROW_BYTES * min(longest, 2 * RANGE_ROWS + BLOCK_ROWS)


def _bands(
    columns: npt.NDArray[np.integer], plays: npt.NDArray[np.int32], artist: int
) -> list[tuple[int, int]]:
    """Cut one artist's rows by plays into ranges with some hundred thousand rows, or few distinct plays, each."""
    import numpy as np

    n_rows = np.zeros(1 << (_PLAYS_BITS - _BAND_BITS), np.int64)
    for part in _blocks(len(plays)):
        n_rows += np.bincount(plays[part][columns[part] == artist] >> _BAND_BITS, minlength=len(n_rows))
    starts = np.flatnonzero(np.diff(np.cumsum(n_rows) // RANGE_ROWS, prepend=-1)).tolist()
    edges = [start << _BAND_BITS for start in (0, *starts[1:], len(n_rows))]
    return list(pairwise(edges))


def _counted(
    columns: npt.NDArray[np.integer],
    plays: npt.NDArray[np.int32],
    chosen: npt.NDArray[np.bool_],
    artists: tuple[int, int],
    band: tuple[int, int],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return artist, plays and number of rows, ascending, of the chosen artists from the first to the last and a band of plays."""
    import numpy as np

    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for part in _blocks(len(plays)):
        block, played = columns[part].astype(np.int64), plays[part]
        inside = (block >= artists[0]) & (block <= artists[1]) & chosen[block]
        inside &= (played >= band[0]) & (played < band[1])
        if inside.any():
            found = np.concatenate((keys, block[inside] << _PLAYS_BITS | played[inside]))
            weights = np.concatenate((counts, np.ones(len(found) - len(keys), np.int64)))
            keys, inverse = np.unique(found, return_inverse=True)
            counts = np.zeros(len(keys), np.int64)
            np.add.at(counts, inverse, weights)
    return keys >> _PLAYS_BITS, keys & ((1 << _PLAYS_BITS) - 1), counts

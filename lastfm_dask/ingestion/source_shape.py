"""The numbers of a source that determine what ingest needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST_SLOPE = 0.15
_LEAST_BEND = 0.02


@dataclass(frozen=True, slots=True)
class SourceShape:
    """The numbers of a source that determine what ingest needs, estimated from a sample before the work.

    Attributes
    ----------
    source_bytes : int
        Unpacked.
    n_rows, n_users, n_artists : int
        Rows, and distinct names.
    user_bytes, artist_bytes : int
        Bytes of a name, on average.
    with_mbid, with_time : bool
        Whether MBIDs and times are read.
    is_real : bool
        Whether plays are real values.
    utf8_percent : int
        Bytes of UTF-8 for 100 bytes of the source; 0 if the source is UTF-8.
    by_records : bool
        Whether fields may be quoted, and may then contain line ends.
    """

    source_bytes: int
    n_rows: int
    n_users: int
    n_artists: int
    user_bytes: int = 40
    artist_bytes: int = 16
    with_mbid: bool = False
    with_time: bool = False
    is_real: bool = False
    utf8_percent: int = 0
    by_records: bool = False
    longest: int = 0
    """Rows of the user with the most."""
    most_listeners: int = 0
    """Rows of the artist with the most."""
    n_mbids: int = 0
    """Distinct pairs of artist and MBID."""
    held_bytes: int = 0
    """The names of the dataset that is appended to, and a block of its rows."""
    artist_curve: tuple[tuple[float, float], ...] = ()
    """Distinct artists over rows, of samples: see `extrapolate`."""
    columnar: bool = False
    """Whether the source is Parquet or Arrow."""
    longest_artist_bytes: int = 0
    """Bytes of the longest artist name in the sample."""
    unseen_bytes: int = 0
    """Bytes of names in the largest row group beyond what the sample suggests, as its file states them."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a line, on average; one at least."""
        return max(1, self.source_bytes // max(1, self.n_rows))


def n_blocks(source: SourceShape, block_bytes: int) -> int:
    """Return the number of blocks of a source."""
    return max(1, -(-source.source_bytes // block_bytes))


def block_names(source: SourceShape, block_bytes: int) -> tuple[int, int]:
    """Return upper bounds of a block's distinct users and artists.

    Users come in runs; the bound is twice the average number. Distinct artists grow with about the root of the rows; the
    bound is twice that, and at least what the sample has in as many rows. Neither exceeds the number of rows.
    """
    blocks = n_blocks(source, block_bytes)
    n_rows = -(-source.n_rows // blocks)
    n_users = min(n_rows, source.n_users, 2 * -(-source.n_users // blocks))
    n_artists = max(_by_sample(source.artist_curve, n_rows), int(2 * source.n_artists / blocks**0.5) + 1)
    return n_users, min(n_rows, source.n_artists, n_artists)


def names_bytes(source: SourceShape, n_users: int, n_artists: int) -> int:
    """Return an upper bound of the bytes of some distinct names: the longest artists may all be among them."""
    longest = n_artists * max(source.artist_bytes, source.longest_artist_bytes)
    return n_users * source.user_bytes + min(longest, source.n_artists * source.artist_bytes)


def _by_sample(curve: Sequence[tuple[float, float]], n_rows: int) -> int:
    """Estimate the distinct artists in this many rows from the sample's curve; 0 without one."""
    if not curve or n_rows >= curve[-1][0]:
        return extrapolate(curve, n_rows) if curve else 0
    # The curve rises, so the value at its next point is an upper bound.
    return round(next(artists for rows, artists in curve if rows >= n_rows))


def extrapolate(curve: Sequence[tuple[float, float]], n_rows: int) -> int:
    """Estimate the distinct artists in `n_rows` rows; pure.

    On logarithmic scales the curve of distinct artists over rows bends steadily downwards (Heaps' law with an
    exponent that falls): its slope is carried on with the bend that the sample shows. The curve of a whole log bends
    more the further it goes, which a sample can't show: on logs of 17.6 million rows this gives 1.25 times the true number.

    Parameters
    ----------
    curve : sequence of three (rows, artists)
        Of samples that grow eightfold each.
    n_rows : int
        At least as many as the largest sample has.
    """
    (first_rows, first), (middle_rows, middle), (last_rows, last) = curve
    if not 0 < first_rows < middle_rows < last_rows < n_rows:
        return round(last)
    before = log(middle / first) / log(middle_rows / first_rows)
    after = log(last / middle) / log(last_rows / middle_rows)
    bend = max(_LEAST_BEND, 2 * (before - after) / log(last_rows / first_rows))
    slope = max(_LEAST_SLOPE, after - bend * log(last_rows / middle_rows) / 2)
    way = log(n_rows / last_rows)
    bent = min(way, (slope - _LEAST_SLOPE) / bend)
    growth = slope * bent - bend * bent**2 / 2 + _LEAST_SLOPE * (way - bent)
    return min(n_rows, round(last * exp(growth)))

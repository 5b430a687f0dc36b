"""Every text that a line of a synthetic log may hold, and the lines made of them, a block at a time.

Lines are put together by Arrow, without a Python object for any row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lastfm_dask.sources.published import N_ARTIST_NAMES
from lastfm_dask.synthesis.names import make_mbids, make_names, with_case_variants

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from lastfm_dask.synthesis.lists import Design
    from lastfm_dask.synthesis.size import LogSize

DATES = ("sep 20, 2008", "dec 27, 2008")
WITHOUT_MBID = 0.013
"""Share of the rows without one."""
_VARIANTS = 226 / N_ARTIST_NAMES
"""Share of the names that differ from another one only in the case of a non-ASCII letter."""
_TWO_MBIDS = 0.01


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts that lines are made of, and which artist has which. Artist `n_artists` is the empty name.

    Attributes
    ----------
    digests : ndarray, shape (n_users, 20), uint8
        The users' ids, rising, of which the lines have the hexadecimal digits.
    dates : dict of int to str
        Users whose id is a date instead.
    names, mbids : pyarrow.StringArray
        The last of each is empty.
    mbid_of : ndarray, shape (n_artists + 1, 2), int64
        Each artist's first and second MBID, mostly the same.
    """

    digests: npt.NDArray[np.uint8]
    dates: dict[int, str]
    names: Any
    mbids: Any
    mbid_of: npt.NDArray[np.int64]

    @property
    def n_artists(self) -> int:
        """How many names there are, without the empty one."""
        return len(self.names) - 1

    def columns(
        self,
        users: range,
        listeners: npt.NDArray[np.int64],
        artists: npt.NDArray[np.int64],
        second: npt.NDArray[np.int64],
    ) -> list[Any]:
        """Return users, MBIDs and artists of rows as Arrow dictionaries, whose values may not all be used.

        Parameters
        ----------
        users : range
            The block's.
        listeners, artists, second : ndarray, shape (n,), int64
            One row each: a place in `users`, an artist, and 1 for its second MBID.
        """
        ids = [self.dates.get(user) or self.digests[user].tobytes().hex() for user in users]
        coded = ((ids, listeners), (self.mbids, self.mbid_of[artists, second]), (self.names, artists))
        return [_dictionary(values, codes) for values, codes in coded]

    def lines(self, columns: Sequence[Any], plays: npt.NDArray[np.int64]) -> list[memoryview | bytes]:
        """Return the bytes of rows as lines, in pieces to be written one after the other.

        Parameters
        ----------
        columns : sequence of DictionaryArray
            Users, MBIDs and artists, as `columns` gives them.
        plays : ndarray, shape (n,), int64
            The counts.
        """
        users, mbids, artists = columns
        # Each line end is put before the next line's first field, so that one join makes the whole block.
        starts = pc.binary_join_element_wise("\n", users.dictionary, "")
        fields = (
            starts.take(users.indices),
            mbids.dictionary_decode(),
            artists.dictionary_decode(),
            pc.cast(pa.array(plays), pa.string()),
        )
        joined = pc.binary_join_element_wise(*fields, "\t")
        _, ends, data = joined.buffers()
        last = int(np.frombuffer(ends, np.int32)[joined.offset + len(joined)])
        return [memoryview(data)[1:last], b"\n"]


def _dictionary(values: Any, codes: npt.NDArray[np.int64]) -> Any:
    """Return values by code as an Arrow dictionary of only the values that are used."""
    used, indices = np.unique(codes, return_inverse=True)
    values = pa.array(values, pa.string()).take(pa.array(used))
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), values)


def dated_places(size: LogSize) -> list[int]:
    """Return before which of the other users those stand whose id is a date."""
    return [size.n_users // 3, 2 * size.n_users // 3][: size.n_dated]


def written_names(texts: Texts, seen: npt.NDArray[np.bool_]) -> list[str]:
    """Return the names of the artists that were seen, shape (n_artists + 1,), the empty one apart."""
    return [
        name for name, is_seen in zip(texts.names.to_pylist(), seen.tolist(), strict=True) if name and is_seen
    ]


def make_texts(size: LogSize, design: Design, rng: np.random.Generator) -> Texts:
    """Make up the users' ids, and the artists' names and MBIDs.

    Parameters
    ----------
    size : LogSize
        The log's.
    design : Design
        Says how many users there are in all, and which artists have few rows.
    rng : Generator
        Decides all that is made up.
    """
    names = _names(size.n_artists, rng)
    mbids, mbid_of = _mbids(size, design, rng)
    digests = rng.integers(0, 256, (len(design.n_rows), 20), dtype=np.uint8)
    digests[:, :8] = np.sort(digests[:, :8].copy().view(">u8").ravel())[:, None].view(np.uint8)
    dates = {place + i: DATES[i] for i, place in enumerate(dated_places(size))}
    return Texts(digests, dates, pa.array([*names, ""], pa.string()), mbids, mbid_of)


def _names(n_artists: int, rng: np.random.Generator) -> list[str]:
    names = make_names(n_artists, rng)
    spelt = np.array(
        [i for i, name in enumerate(names) if name.upper() != name and not name.isascii()], np.int64
    )
    n_variants = min(round(n_artists * _VARIANTS), len(spelt))
    sources = rng.choice(spelt, n_variants, replace=False)
    # Only ordinary names give way: the real and the odd ones are in the first thirtieth.
    places = rng.choice(np.arange(n_artists // 30, n_artists), n_variants, replace=False)
    plain = np.array(
        [names[place].isascii() and names[place].isprintable() for place in places.tolist()], np.bool_
    )
    return with_case_variants(names, sources[plain], places[plain])


def _mbids(size: LogSize, design: Design, rng: np.random.Generator) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return the MBIDs, an empty one last, and which two each artist has."""
    n_mbids = size.n_artists + round(size.n_artists * _TWO_MBIDS)
    mbids = make_mbids(n_mbids, rng)
    ends = np.arange(n_mbids + 2, dtype=np.int32) * mbids.shape[1]
    ends[-1] = ends[-2]
    mbid_of = np.repeat(np.arange(size.n_artists + 1)[:, None], 2, axis=1)
    twice = rng.choice(size.n_artists, n_mbids - size.n_artists, replace=False)
    mbid_of[twice, 1] = np.arange(size.n_artists, n_mbids)
    mbid_of[np.append(_without_mbid(size, design, rng), size.n_artists)] = n_mbids
    return pa.StringArray.from_buffers(n_mbids + 1, pa.py_buffer(ends), pa.py_buffer(mbids)), mbid_of


def _without_mbid(size: LogSize, design: Design, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return artists that share `WITHOUT_MBID` of the rows, most of them with few listeners."""
    n_tail = np.bincount(design.tail_artists, minlength=size.n_artists)
    tail = np.flatnonzero(n_tail)
    if not len(tail):
        return tail
    order = tail[np.argsort(rng.standard_exponential(len(tail)) * n_tail[tail])]
    return order[: int(np.searchsorted(n_tail[order].cumsum(), size.n_rows * WITHOUT_MBID, side="right"))]

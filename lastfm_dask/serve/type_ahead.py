"""Finds artists while somebody types: names that begin with it, names with a word that begins with it, near names.

All names are in one text, without case and accents, a line each, the most popular first: a line's number is its
rank. Their order by letters finds those that begin alike without looking at the others; words within names are looked
for in the text. About 30 bytes a name.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.nearness import plain, plain_all

if TYPE_CHECKING:
    import numpy.typing as npt

    from lastfm_dask.dataset.vocabulary import Vocabulary

MAX_QUERY = 200
"""Letters of a query that are looked at."""
_ARTICLE = "the "
_NEAR = 0.75
"""Nearer than an error message asks for: who types goes on typing, and less near takes much longer."""


@dataclass(frozen=True, slots=True)
class Found:
    """The artists that were found."""

    columns: list[int]
    is_near: bool
    """Whether none matched and these are near names."""


class TypeAhead:
    """An index of names for a type-ahead.

    Parameters
    ----------
    artists : Vocabulary
        The names.
    listeners : int64, shape (n_artists,)
        How popular each is.
    """

    def __init__(self, artists: Vocabulary, listeners: npt.NDArray[np.int64]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._artists = artists
        self._order = np.argsort(-listeners, kind="stable").astype(np.int32)
        # A line end within a name would make two lines of it.
        names = pc.replace_substring(plain_all(artists.array), "\n", " ").take(pa.array(self._order))
        lengths = pc.binary_length(names).to_numpy(zero_copy_only=False)
        self._starts = np.zeros(len(names), np.int64)
        np.cumsum(lengths[:-1] + 1, out=self._starts[1:])
        lines = pa.ListArray.from_arrays(pa.array([0, len(names)], pa.int32()), names)
        self._by_letters = pc.sort_indices(names).to_numpy().astype(np.int32)
        self._text = b"\n" + pc.binary_join(lines, "\n")[0].as_buffer().to_pybytes() + b"\n"

    def find(self, typed: str, n: int) -> Found:
        """Return up to `n` artists that may be meant by what was typed so far, the likeliest first.

        Names that begin with it (whether or not after a "the "), then names with a word that begins with it, each by
        falling popularity; a name that is just what was typed is among them, however few listen to it. Where there
        are none, the names near to it. Nothing typed gives the most popular artists.
        """
        query = plain(typed[:MAX_QUERY].encode(errors="replace").decode().replace("\n", " "))
        if not query:
            return Found(self._order[:n].tolist(), is_near=False)
        beginnings = [query] if query.startswith(_ARTICLE) else [query, _ARTICLE + query]
        ranges = [self._range(one.encode()) for one in beginnings]
        lines = _first(np.concatenate([self._by_letters[start:end] for start, end in ranges]), n)
        if len(lines) < n:
            lines += [line for line in self._with_word(query, 2 * n) if line not in lines][: n - len(lines)]
        else:
            # The name itself stands at the range's front: no other that begins so is shorter.
            exact = [
                line
                for (start, _), one in zip(ranges, beginnings, strict=True)
                for line in self._exact(start, one)
            ]
            if exact and not set(exact) & set(lines):
                lines[-1] = min(exact)
        if lines:
            return Found(self._order[lines].tolist(), is_near=False)
        return Found(self._artists.near_indices(typed[:MAX_QUERY], n, _NEAR), is_near=True)

    def same(self, name: str) -> int | None:
        """Return the column of the most popular artist who has this name but for case and accents; None if nobody has."""
        query = plain(name[:MAX_QUERY].encode(errors="replace").decode().replace("\n", " "))
        if not query or len(name) > MAX_QUERY:
            return None
        start = bisect_left(range(len(self._by_letters)), query.encode(), key=self._line)
        lines = self._exact(start, query)
        return int(self._order[lines[0]]) if lines else None

    def _line(self, place: int) -> bytes:
        """Return the name at a place in the order of letters."""
        line = int(self._by_letters[place])
        end = int(self._starts[line + 1]) if line + 1 < len(self._starts) else len(self._text) - 1
        name: bytes = self._text[int(self._starts[line]) + 1 : end]
        return name

    def _range(self, beginning: bytes) -> tuple[int, int]:
        """Return from where to where names begin so, in the order of letters."""
        places = range(len(self._by_letters))
        start = bisect_left(places, beginning, key=self._line)
        # No byte of a name in UTF-8 is so high.
        return start, bisect_left(places, beginning + b"\xff", lo=start, key=self._line)

    def _exact(self, start: int, name: str) -> list[int]:
        """Return the most popular of the names that are just this one, which would stand at `start`."""
        end = bisect_left(range(len(self._by_letters)), name.encode() + b"\0", lo=start, key=self._line)
        return _first(self._by_letters[start:end], 1)

    def _with_word(self, query: str, n: int) -> list[int]:
        """Return the first `n` lines that hold a blank and the query behind it."""
        needle, place = f" {query}".encode(), -1
        lines: list[int] = []
        while len(lines) < n:
            place = self._text.find(needle, place + 1)
            if place < 0:
                break
            line = int(np.searchsorted(self._starts, place, side="right")) - 1
            lines.append(line)
            # Go on behind this line: a name counts once.
            place = int(self._starts[line + 1]) - 1 if line + 1 < len(self._starts) else len(self._text)
        return lines


def _first(lines: npt.NDArray[np.int32], n: int) -> list[int]:
    """Return the `n` lowest numbers, ascending."""
    found: list[int] = np.sort(np.partition(lines, n)[:n] if len(lines) > n else lines).tolist()
    return found

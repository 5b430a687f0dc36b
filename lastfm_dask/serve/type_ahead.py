"""Finds artists while somebody types: names that begin with it, names with a word that begins with it, near names.

All names stand in one text, without case and accents, a line each, the most popular first. Searching it from its start
gives the most popular matches first, and a common beginning is found within the first lines. About 25 bytes a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.nearness import plain, plain_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from lastfm_dask.dataset.vocabulary import Vocabulary

MAX_QUERY = 200
"""Letters of a query that are looked at."""
_ARTICLE = "the "


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
        lines = self._first([f"\n{one}" for one in beginnings], n)
        if len(lines) < n:
            lines += [line for line in self._first([f" {query}"], 2 * n) if line not in lines][
                : n - len(lines)
            ]
        else:
            exact = self._first([f"\n{one}\n" for one in beginnings], 1)
            lines = lines[: n - 1] + exact if exact and exact[0] not in lines else lines
        if lines:
            return Found(self._order[lines].tolist(), is_near=False)
        return Found(self._artists.near_indices(typed[:MAX_QUERY], n), is_near=True)

    def _first(self, needles: list[str], n: int) -> list[int]:
        """Return the first `n` lines that hold one of the needles."""
        return sorted({line for needle in needles for line in self._lines(needle.encode(), n)})[:n]

    def _lines(self, needle: bytes, n: int) -> Iterator[int]:
        """Yield the first `n` lines that hold these bytes."""
        place, found = -1, 0
        while found < n:
            place = self._text.find(needle, place + 1)
            if place < 0:
                return
            line = int(np.searchsorted(self._starts, place, side="right")) - 1
            yield line
            found += 1
            # Go on behind this line: a name counts once.
            place = int(self._starts[line + 1]) - 1 if line + 1 < len(self._starts) else len(self._text)

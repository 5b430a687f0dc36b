"""Which known names somebody may have meant: names are folded to what people type, and compared by edits.

Folding drops what people leave out or mix up: case, accents, a leading "the ", `&` for "and". Whole arrays are folded
by Arrow, so 290,000 names take a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.name_pieces import name_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pyarrow as pa

LEAST_SIMILARITY = 0.65
"""1 - edits / letters of both names: below this a name is not worth showing."""

_AT_ONCE = 1 << 14
"""Names whose letters are gathered at once."""
_BYTES_AT_ONCE = 1 << 19
"""Bytes of such names, beside the first one: a letter takes 25 bytes while it is gathered."""
_FIRST_CONTINUATION, _FIRST_LEAD = 0x80, 0xC0
"""UTF-8: bytes from the first up to the second go on with a letter that another byte began."""

# Letters that do not come apart into a plain one and an accent.
_PLAIN = {
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
    "ı": "i",
    "’": "'",
    "‘": "'",
}


def plain_all(names: pa.StringArray) -> pa.StringArray:
    """Return an Arrow array of names without case and accents, `&` spelled out; missing names stay missing."""
    import pyarrow.compute as pc

    is_ascii = pc.string_is_ascii(names)
    plain = pc.ascii_lower(names)
    if pc.all(is_ascii).as_py() is False:
        others = pc.invert(is_ascii)
        letters = pc.utf8_lower(pc.utf8_normalize(names.filter(others), form="NFKD"))
        letters = pc.replace_substring_regex(letters, pattern=r"\p{Mn}+", replacement="")
        for letter, replacement in _PLAIN.items():
            letters = pc.replace_substring(letters, pattern=letter, replacement=replacement)
        plain = pc.replace_with_mask(plain, others, letters)
    return pc.replace_substring(plain, pattern=" & ", replacement=" and ")


def fold_all(names: pa.StringArray) -> pa.StringArray:
    """Return an Arrow array of names as `FoldedNames` compares them; missing names stay missing."""
    import pyarrow.compute as pc

    plain = plain_all(names)
    has_article = pc.starts_with(plain, "the ")
    without = pc.utf8_slice_codeunits(plain.filter(has_article), 4)
    return pc.replace_with_mask(plain, has_article, without)


def plain(name: str) -> str:
    """Return one name as `plain_all` gives it, without blanks around it."""
    return _one(plain_all, name)


def fold(name: str) -> str:
    """Return one name as `FoldedNames` compares it."""
    return _one(fold_all, name)


def _one(change: Callable[[pa.StringArray], pa.StringArray], name: str) -> str:
    import pyarrow as pa

    changed: str = change(pa.array([name.strip()], pa.string()))[0].as_py()
    return changed


class FoldedNames:
    """Names to look for those near to one that somebody typed: about 30 bytes a name.

    Every edit changes one letter, so two names with k different letters between them are k edits apart at least.
    Each name's set of letters is kept as 64 bits, and the names that can't be near are never compared.

    Parameters
    ----------
    names : pyarrow.StringArray
        Without missing names.
    """

    def __init__(self, names: pa.StringArray) -> None:
        import pyarrow.compute as pc

        self._folded = fold_all(names)
        self._lengths = pc.utf8_length(self._folded).to_numpy(zero_copy_only=False).astype(np.int32)
        self._letters = _letters_of(self._folded)

    def nearest(self, name: str, n: int, least: float | None = None) -> list[int]:
        """Return where the `n` names nearest to one stand, the nearest first, equally near ones in order.

        Names less similar than `least` are left out, `LEAST_SIMILARITY` unless given.
        """
        return [place for _, place in self._scored(name, n, least)]

    def _scored(self, name: str, n: int, least: float | None) -> list[tuple[float, int]]:
        """Return similarity and place of the nearest names, some thousand of which become Python's texts at once."""
        import pyarrow as pa
        from rapidfuzz.distance import Indel
        from rapidfuzz.process import extract

        folded = fold(name)
        least = LEAST_SIMILARITY if least is None else least
        edits = (1 - least) * (self._lengths + len(folded)) + 1e-6
        letters = _letters_of(pa.array([folded], pa.string()))[0]
        can_be_near = np.bitwise_count(self._letters ^ letters) <= edits
        can_be_near &= np.abs(self._lengths - len(folded)) <= edits
        every = np.flatnonzero(can_be_near)
        best: list[tuple[float, int]] = []
        for start in range(0, len(every), _AT_ONCE):
            places = every[start : start + _AT_ONCE]
            found = extract(
                folded,
                self._folded.take(pa.array(places)).to_pylist(),
                scorer=Indel.normalized_similarity,
                score_cutoff=least,
                limit=n,
            )
            best = _best([*best, *((score, int(places[position])) for _, score, position in found)], n)
        return best


def nearest_of(names: pa.StringArray, name: str, n: int, least: float | None = None) -> list[int]:
    """Return what `FoldedNames(names).nearest` does, of some thousand names at once: for a single search."""
    best: list[tuple[float, int]] = []
    start = 0
    for piece in name_pieces(names, _AT_ONCE, _BYTES_AT_ONCE):
        part = FoldedNames(piece)
        best = _best([*best, *((score, start + place) for score, place in part._scored(name, n, least))], n)  # noqa: SLF001
        start += len(piece)
    return [place for _, place in best]


def _best(scored: list[tuple[float, int]], n: int) -> list[tuple[float, int]]:
    return sorted(scored, key=lambda one: (-one[0], one[1]))[:n]


def _letters_of(names: pa.StringArray) -> npt.NDArray[np.uint64]:
    """Return each name's set of letters, shape (len(names),): a letter sets the bit of its first byte modulo 64."""
    letters = np.zeros(len(names), np.uint64)
    end = 0
    for part in name_pieces(names, _AT_ONCE, _BYTES_AT_ONCE):
        start, end = end, end + len(part)
        _, offsets, data = part.buffers()
        ends = np.frombuffer(offsets, np.int32)[part.offset : part.offset + len(part) + 1]
        if ends[0] == ends[-1]:
            continue
        text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
        bits = np.uint64(1) << (text & 63).astype(np.uint64)
        bits[(text >= _FIRST_CONTINUATION) & (text < _FIRST_LEAD)] = 0
        # An empty name has no bytes to join: it gets none, and one bit more lets those at the end begin somewhere.
        joined = np.bitwise_or.reduceat(np.append(bits, np.uint64(0)), ends[:-1] - ends[0])
        letters[start:end] = np.where(np.diff(ends) > 0, joined, 0)
    return letters

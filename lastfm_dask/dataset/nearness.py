"""Which of many names somebody may have meant: names folded to what is typed, and compared by their edits.

Folding drops what people leave out or mix up: case, accents, a leading "the ", `&` for "and". Whole arrays are folded
by Arrow, so that 290,000 names take a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

LEAST_SIMILARITY = 0.65
"""1 - edits / letters of both names: below this a name is not worth showing."""

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


def fold_all(names: pa.StringArray) -> pa.StringArray:
    """Return an Arrow array of names as `nearest` compares them; missing names stay missing."""
    import pyarrow.compute as pc

    is_ascii = pc.string_is_ascii(names)
    folded = pc.ascii_lower(names)
    if pc.all(is_ascii).as_py() is False:
        others = pc.invert(is_ascii)
        plain = pc.utf8_lower(pc.utf8_normalize(names.filter(others), form="NFKD"))
        plain = pc.replace_substring_regex(plain, pattern=r"\p{Mn}+", replacement="")
        for letter, replacement in _PLAIN.items():
            plain = pc.replace_substring(plain, pattern=letter, replacement=replacement)
        folded = pc.replace_with_mask(folded, others, plain)
    has_article = pc.starts_with(folded, "the ")
    without = pc.utf8_slice_codeunits(folded.filter(has_article), 4)
    folded = pc.replace_with_mask(folded, has_article, without)
    return pc.replace_substring(folded, pattern=" & ", replacement=" and ")


def fold(name: str) -> str:
    """Return one name as `nearest` compares it."""
    import pyarrow as pa

    folded: str = fold_all(pa.array([name.strip()], pa.string()))[0].as_py()
    return folded


def nearest(name: str, folded: Sequence[str], n: int) -> list[int]:
    """Return where the `n` folded names nearest to a name stand, the nearest first, equally near ones in order.

    Parameters
    ----------
    name : str
        As somebody typed it.
    folded : sequence of str
        What `fold_all` gave.
    n : int
        How many at most; those that are too far are left out.
    """
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import extract

    found = extract(
        fold(name), folded, scorer=Indel.normalized_similarity, score_cutoff=LEAST_SIMILARITY, limit=n
    )
    return [position for _, _, position in found]

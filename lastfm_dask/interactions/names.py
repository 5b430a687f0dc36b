"""Artist names in lower case, for stored names and for queries alike: as `str.lower` does, no other way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def lower(name: str) -> str:
    """Return a name in lower case."""
    return name.lower()


def lower_all(names: pa.StringArray) -> pa.StringArray:
    """Return an Arrow array of names in lower case: ASCII ones by Arrow, the others by `lower`.

    Arrow's own `utf8_lower` differs from `str.lower` on a final sigma and on a capital dotted i.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ascii_only = pc.string_is_ascii(names)
    lowered = pc.ascii_lower(names)
    if pc.all(ascii_only).as_py() is not False:
        return lowered
    others = pc.invert(ascii_only)
    replaced = [lower(name) for name in names.filter(others).to_pylist()]
    return pc.replace_with_mask(lowered, others, pa.array(replaced, names.type))

"""Artist names in lower case, exactly as `str.lower` gives them, for stored names and for queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 1 << 14
"""How many names become Python objects at once."""


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
    found = names.filter(others)
    # In batches: as a Python object, a name takes ten times its bytes.
    replaced = [
        pa.array([lower(name) for name in found.slice(first, _AT_ONCE).to_pylist()], names.type)
        for first in range(0, len(found), _AT_ONCE)
    ]
    return pc.replace_with_mask(lowered, others, pa.concat_arrays(replaced))

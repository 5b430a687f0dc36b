"""Sizes in bytes as people write and read them: plain bytes, KiB, MiB, GiB. Pure."""

from __future__ import annotations

import re

from lastfm_dask.errors import BadInputError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_UNITS = {"": 1, "b": 1, "kib": KIB, "mib": MIB, "gib": GIB}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def parse_size(text: str) -> int:
    """Return the bytes that a text such as `512MiB`, `1.5 GiB` or `1048576` stands for.

    Raises
    ------
    BadInputError
        Where the text is no size above zero, or its unit is not one of B, KiB, MiB, GiB.
    """
    match = _SIZE.fullmatch(text)
    unit = match.group(2).lower() if match else None
    size_bytes = int(float(match.group(1)) * _UNITS[unit]) if match and unit in _UNITS else 0
    if size_bytes <= 0:
        msg = f"{text!r} is no size: write a number above zero and B, KiB, MiB or GiB, such as 512MiB"
        raise BadInputError(msg)
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Return bytes as a short text in the largest unit that leaves at least one, such as `16.0 MiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size_bytes) >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} B"


def limit_for(size_bytes: int) -> int:
    """Return the limit to ask for where this much is needed: whole MiB, with one at least to spare.

    A control group counts whole pages, and another start of the same program holds some KiB more or less.

    >>> limit_for(65_196_336) // MIB
    64
    """
    return (-(-size_bytes // MIB) + 1) * MIB

"""Sizes in bytes as people write and read them: plain bytes, and units of 1024 or, for KB, MB and GB, of 1000. Pure."""

from __future__ import annotations

import re

from lastfm_dask.errors import BadInputError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_BINARY = {"k": KIB, "m": MIB, "g": GIB, "t": 1 << 40}
_UNITS = {"": 1, "b": 1} | {
    f"{letter}{rest}": factor for letter, factor in _BINARY.items() for rest in ("", "i", "ib")
}
_UNITS |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"\s*([0-9]+)(\.[0-9]+)?\s*([A-Za-z]*)\s*")


def parse_size(text: str) -> int:
    """Return the bytes that a text such as `512Mi`, `1.5 GiB`, `2GB` or `1048576` stands for.

    Raises
    ------
    BadInputError
        If the text is not a size above zero, or its unit is not known.
    """
    match = _SIZE.fullmatch(text)
    factor = _UNITS.get(match[3].lower(), 0) if match else 0
    size_bytes = int(match[1]) * factor + int(float(match[2] or 0) * factor) if match else 0
    if size_bytes <= 0:
        msg = (
            f"{text!r} is not a size: write a number above zero and Ki, Mi, Gi, KiB, MiB, GiB, K, M, G (of 1024) or"
            " KB, MB, GB (of 1000), or bytes without a unit, such as 512Mi"
        )
        raise BadInputError(msg)
    return size_bytes


def parse_memory(text: str) -> int:
    """Return a limit of memory in bytes; a bare number that can only be meant in another unit is refused.

    >>> parse_memory("512Mi") // MIB
    512
    """
    size_bytes = parse_size(text)
    if text.strip().isdigit() and size_bytes < MIB:
        number = text.strip()
        msg = f"{number} without a unit is {number} bytes, too little for any work: was {number}Mi meant?"
        raise BadInputError(msg)
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Return bytes as a short text in the largest unit that leaves at least one, such as `16.0 MiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size_bytes) >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} B"


class Size(int):
    """Bytes that format themselves as a short text, for a table: a number still in a data frame.

    >>> f"{Size(16 << 20):,}"
    '16.0 MiB'
    """

    __slots__ = ()

    def __format__(self, _spec: str) -> str:
        """Return the short text, whatever the specification is."""
        return format_size(self)


def limit_for(size_bytes: int) -> int:
    """Return the limit to ask for where this much is needed: whole MiB, with one at least to spare.

    A control group counts whole pages, and another start of the same program holds some KiB more or less.

    >>> limit_for(65_196_336) // MIB
    64
    """
    return (-(-size_bytes // MIB) + 1) * MIB


def limit_text(size_bytes: int) -> str:
    """Return that limit as an option or a pod takes it.

    >>> limit_text(65_196_336)
    '64Mi'
    """
    return f"{limit_for(size_bytes) // MIB}Mi"

"""The largest of many numbers, found without ordering them all: lists and item weights keep a few of thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_STRIDE = 16
"""One number in this many is looked at first."""


def kth_largest(values: npt.NDArray[Any], k: int) -> Any:
    """Return the `k`-th largest of some numbers, 1 being the largest; there must be as many.

    A sample of them gives a bound that leaves about two to four times `k` to partition; where it leaves fewer than
    `k`, all are partitioned. The result is exact either way.
    """
    sample = values[::_STRIDE]
    rank = 2 * k // _STRIDE + _STRIDE
    if 2 * rank < len(sample):
        above = values[values >= np.partition(sample, len(sample) - rank)[len(sample) - rank]]
        if len(above) >= k:
            values = above
    place = len(values) - k
    return np.partition(values, place)[place]


def places_of_largest(values: npt.NDArray[Any], k: int) -> npt.NDArray[np.int64]:
    """Return where the `k` largest numbers stand, ascending; among equals the first are taken."""
    if k >= len(values):
        return np.arange(len(values))
    least = kth_largest(values, k)
    places = np.flatnonzero(values >= least)
    if len(places) > k:
        equal = np.flatnonzero(values[places] == least)
        places = np.delete(places, equal[len(equal) - (len(places) - k) :])
    return places

"""Names cut into pieces of bounded rows and bytes: a few names may be long."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Names = TypeVar("Names", pa.StringArray, pa.ChunkedArray)


def name_pieces(names: Names, most_rows: int, most_bytes: int) -> Iterator[Names]:
    """Yield consecutive slices of names; the cuts do not depend on how the names lie in memory.

    Parameters
    ----------
    names : pyarrow.StringArray or pyarrow.ChunkedArray
        Without missing names.
    most_rows : int
        The most names of a piece.
    most_bytes : int
        A piece has fewer bytes than this beside its first name.
    """
    import numpy as np
    import pyarrow.compute as pc

    for first in range(0, len(names), most_rows):
        rows = names.slice(first, most_rows)
        ends: npt.NDArray[np.int64] = np.cumsum(pc.binary_length(rows).to_numpy(), dtype=np.int64)
        cuts = [0, *(np.flatnonzero(np.diff(ends // most_bytes)) + 1).tolist(), len(rows)]
        for start, end in pairwise(cuts):
            yield rows.slice(start, end - start)

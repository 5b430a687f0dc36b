"""What a reader returns of a block: the rows that were kept as columns, and those that were rejected. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a block: what was kept as columns, what was rejected with its reason.

    Attributes
    ----------
    user : DictionaryArray of string, int32 indices
        The user of each row kept; the dictionary holds no name twice and is in order of first appearance.
    artist : StringArray, or DictionaryArray as of the user
        The artist of each row kept, as written in the source.
    plays : ndarray of int32, or of float32 where the schema's values are real
        The plays of each row kept; 1 for an event.
    mbid : StringArray, DictionaryArray, or None
        The MBID of each row kept, where the schema asks for it.
    time : ndarray of int64 or None
        Milliseconds since 1970 of each row kept, where the schema has a column for it.
    n_lines : int
        Lines in the block, a header among them.
    reject_lines : ndarray of int64
        The line within the block, from 0, of each row rejected.
    reject_reasons : ndarray of int8
        Indices into `REASONS`.
    reject_bytes : BinaryArray
        Each row's bytes up to the line end, at most 1 KiB.
    """

    user: pa.DictionaryArray
    artist: pa.StringArray
    plays: npt.NDArray[Any]
    mbid: pa.StringArray | None
    time: npt.NDArray[np.int64] | None
    n_lines: int
    reject_lines: npt.NDArray[np.int64]
    reject_reasons: npt.NDArray[np.int8]
    reject_bytes: pa.BinaryArray

"""Training's first stage: confidences and their transpose, written to disk block by block.

Serves training and evaluation alike: it takes a mapped matrix of plays, not a dataset. Nothing here knows implicit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from lastfm_dask.dataset.arrays import create_array, row_blocks
from lastfm_dask.dataset.matrix import RANGE_NNZ, MappedCsr, mapped_pair, transpose_on_disk
from lastfm_dask.training.weighting import ConfidenceRange, Totals, Weigher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from lastfm_dask.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` wrote, mapped, and what it saw on the way."""

    user_items: MappedCsr
    """Confidences, shape (n_users, n_artists), float32; knows its transpose."""
    seen: ConfidenceRange
    totals: Totals | None
    """Statistics of the whole matrix, where the weighting (`bm25`) asked for them."""


def _quiet(done: int, total: int) -> None:
    pass


def prepare(
    plays: csr_matrix,
    settings: TrainSettings,
    folder: Path,
    *,
    range_nnz: int = RANGE_NNZ,
    name_of: Callable[[int], str] = str,
    progress: Callable[[int, int], None] = _quiet,
) -> Prepared:
    """Write the confidences of a matrix and their transpose to `folder`.

    Where confidence is plays (raw, alpha 1) the matrix's own values are used and nothing is written for them.

    Parameters
    ----------
    plays : csr_matrix, shape (n_users, n_artists), float32
        Plays, columns sorted; memory-mapped or not.
    settings : TrainSettings
        How plays become confidence.
    folder : Path
        An existing folder; what stood in it under the same names is overwritten.
    range_nnz : int
        Stored values that the transpose holds at once.
    name_of : callable
        Gives a column's name, for messages.
    progress : callable
        Called with how many stored values were gone through, and of how many.

    Raises
    ------
    BadInputError
        If a confidence is not above zero.
    """
    nnz, n_artists = len(plays.indices), plays.shape[1]
    totals = cache(lambda: Totals.of(plays.indptr, plays.indices, plays.data, n_artists))
    weigher, seen = Weigher(settings, totals), ConfidenceRange()
    target = None if weigher.is_identity else create_array(folder / "confidence.npy", (nnz,), np.float32)
    listeners = np.zeros(n_artists, np.int64)
    for start, end in row_blocks(plays.indptr):
        first, last = int(plays.indptr[start]), int(plays.indptr[end])
        indices, values = plays.indices[first:last], plays.data[first:last]
        if target is not None:
            values = weigher.confidence(plays.indptr[start : end + 1], indices, values)
            target[first:last] = values
        seen.see(indices, values)
        listeners += np.bincount(indices, minlength=n_artists)
        progress(last, 2 * nnz)
    seen.refuse(name_of, settings.weighting)
    user_items = _with_values(plays, plays.data if target is None else target)
    folder = folder / "item_users"
    folder.mkdir(exist_ok=True)
    item_users = transpose_on_disk(user_items, listeners, folder, range_nnz)
    progress(2 * nnz, 2 * nnz)
    return Prepared(
        mapped_pair(user_items, item_users), seen, totals() if settings.weighting == "bm25" else None
    )


def _with_values(matrix: csr_matrix, data: npt.NDArray[np.float32]) -> Any:
    """Return a matrix of the same places with other values; nothing is copied."""
    result = csr_matrix(matrix.shape, dtype=data.dtype)
    result.indptr, result.indices, result.data = matrix.indptr, matrix.indices, data
    result.has_sorted_indices = result.has_canonical_format = True
    return result

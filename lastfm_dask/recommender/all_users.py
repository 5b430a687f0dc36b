"""Answers for all users of a model: batches of rows that fit the memory allowed, in order.

Each list is what `Recommender.recommend` gives that user. Nothing here depends on the size of a batch or on threads.
`all_users_files` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.engine.threads import completed
from lastfm_dask.memory.blas import one_blas_thread
from lastfm_dask.recommender.blend import Lists
from lastfm_dask.recommender.listing import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.users import ListSettings


BATCH_USERS = 512
"""Users of a batch where memory allows it: more bring nothing."""
MIN_BATCH_USERS = 16


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How many users are answered at once, on how many threads."""

    batch_users: int
    threads: int

    def values(self, n_users: int, nnz: int) -> int:
        """Return how many artists the users of a batch have at most, but for one user who has more: twice the mean."""
        return self.batch_users * (2 * nnz // max(n_users, 1) + 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """The answers for consecutive users."""

    start: int
    """The row of the first user."""
    items: npt.NDArray[np.int32]
    """Columns, the best first, shape (n_users of the batch, n); -1 where a list has ended."""
    scores: npt.NDArray[np.float64]
    """Shape (n_users of the batch, n); NaN if a list has ended."""

    @property
    def rows(self) -> range:
        """The users' rows."""
        return range(self.start, self.start + len(self.items))

    def part(self, start: int, end: int) -> Batch:
        """Return the answers of some of these users, by their places in this batch."""
        return Batch(self.start + start, self.items[start:end], self.scores[start:end])


class AllUsers:
    """The job of answering for all users.

    Parameters
    ----------
    model : Recommender
        Whose users are answered.
    settings : ListSettings
        What each list holds, as `Recommender.list_settings` gives it.
    """

    def __init__(self, model: Recommender, settings: ListSettings) -> None:
        self.model = model
        self.settings = settings

    def batches(self, at_once: BatchSettings) -> Iterator[Batch]:
        """Yield all batches in the order of their rows, a bounded number of them worked on at once."""
        self.model.check_matrix()
        indptr, indices, data = self.model.matrix

        def work(rows: tuple[int, int]) -> Batch:
            start, end = rows
            ends = np.asarray(indptr[start : end + 1], np.int64)
            part = slice(ends[0], ends[-1])
            lists = Lists(ends - ends[0], indices[part], data[part])
            found = listed(self.model, self.model.user_factors[start:end], lists, self.settings)
            return Batch(start, found.items, found.scores)

        with one_blas_thread():
            yield from completed(work, self._rows(at_once), at_once.threads, in_order=True)

    def _rows(self, at_once: BatchSettings) -> Iterator[tuple[int, int]]:
        """Yield the first row of each batch and the one after its last: fewer users where their lists are long."""
        indptr, n_users = self.model.matrix[0], self.model.n_users
        n_values = at_once.values(n_users, int(indptr[-1]))
        for start in range(0, n_users, at_once.batch_users):
            ends = indptr[start : start + at_once.batch_users + 1]
            yield from ((start + first, start + last) for first, last in row_blocks(ends, n_values))

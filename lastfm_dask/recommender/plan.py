"""Projected bytes of answering for all users, and the batch that fits. Pure: integers in, integers out.

Factors and the matrix are maps of files and do not count; what counts is what every thread holds for its batch of
users, the order of all artists, and the names.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.sizes import MIB, format_size, limit_for

BLOCK_ARTISTS = 4096
"""Artists that a batch is scored against at once."""
BATCH_USERS = 512
"""Users of a batch where memory allows it: more bring nothing."""
MIN_BATCH_USERS = 16

GROUP_ROWS = 1 << 14
"""Rows of a Parquet file that are written at once."""

_ARTIST_BYTES = 44
"""By artist: its place in the order and back, its norm, its listeners, and what sorting needs."""
_SCORE_BYTES = 5
"""By user and artist of a block: the score, and whether it is better than the worst that is kept."""
_CANDIDATE_BYTES = 120
"""By user and artist kept: columns, scores and places while lists are merged and scored, and what is written."""
_SEEN_BYTES = 64
"""By stored value of a batch's rows: columns, places, and their order."""
_ROW_BYTES = 320
"""By row of a group: user, rank, artist and score, as gathered, as one table, and as encoded."""
_THREAD_BYTES = 3 * MIB
_SMALL_BYTES = 12 * MIB


@dataclass(frozen=True, slots=True)
class RecommendingShape:
    """The numbers that decide what answering for all users needs."""

    n_users: int
    n_artists: int
    nnz: int
    factors: int
    n: int
    """Artists in a list."""
    names_bytes: int
    """Of both vocabularies, not compressed."""


@dataclass(frozen=True, slots=True)
class RecommendingPlan:
    """How all users are answered, and what that will hold."""

    batch_users: int
    threads: int
    projected_bytes: int
    allowed_bytes: int

    def line(self) -> str:
        """Return the plan as a person reads it, before any work."""
        return (
            f"plan: {self.batch_users} users at once on {self.threads} threads, projected"
            f" {format_size(self.projected_bytes)}, allowed {format_size(self.allowed_bytes)}"
        )


def recommending_bytes(shape: RecommendingShape, batch_users: int, threads: int, reserved_bytes: int) -> int:
    """Return the projected bytes of a run, what is reserved included."""
    block = min(BLOCK_ARTISTS, shape.n_artists)
    scores = _SCORE_BYTES * batch_users * block
    vectors = 4 * block * shape.factors + 20 * batch_users * shape.factors
    lists = _CANDIDATE_BYTES * batch_users * (shape.n + 8)
    seen = _SEEN_BYTES * batch_users * (2 * shape.nnz // max(shape.n_users, 1) + 1)
    by_thread = _THREAD_BYTES + scores + vectors + lists + seen
    group = _ROW_BYTES * min(max(GROUP_ROWS, 16 * shape.n), shape.n_users * shape.n)
    common = 2 * shape.names_bytes + _ARTIST_BYTES * shape.n_artists + group
    # One batch more than threads: it is written while the others are worked on.
    return reserved_bytes + _SMALL_BYTES + common + threads * by_thread + lists


def plan_recommending(
    shape: RecommendingShape, threads: int, *, reserved_bytes: int, allowed_bytes: int
) -> RecommendingPlan:
    """Return a plan that keeps to what is allowed: smaller batches first, then fewer threads.

    Raises
    ------
    BudgetError
        Where the smallest batch on one thread needs more; with the numbers, and the smallest limit that would do.
    """
    batch_users = min(BATCH_USERS, max(shape.n_users, 1))
    smallest_batch = min(MIN_BATCH_USERS, batch_users)
    while True:
        projected = recommending_bytes(shape, batch_users, threads, reserved_bytes)
        if projected <= allowed_bytes:
            return RecommendingPlan(batch_users, threads, projected, allowed_bytes)
        if batch_users > smallest_batch:
            batch_users = max(batch_users // 2, smallest_batch)
        elif threads > 1:
            threads -= 1
        else:
            break
    msg = (
        f"recommending to all users needs {format_size(projected)} ({projected} bytes), allowed are"
        f" {format_size(allowed_bytes)}: give it {limit_for(projected)} bytes or more (--memory, the pod's limit)"
    )
    raise BudgetError(
        msg,
        stage="recommend",
        projected_bytes=projected,
        allowed_bytes=allowed_bytes,
        smallest_bytes=projected,
    )

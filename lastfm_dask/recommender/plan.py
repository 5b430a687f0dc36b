"""Projected bytes of answering for all users, and the batch that fits. Pure: integers in, integers out.

Factors and the matrix are maps of files and do not count; what counts is what every thread holds for its batch of
users, the order of all artists, and the names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.layout import MANIFEST
from lastfm_dask.interactions.schema import MAX_LINE_BYTES
from lastfm_dask.memory.budget import Budget, Plan, fit
from lastfm_dask.memory.sizes import MIB, format_size
from lastfm_dask.recommender import all_users, all_users_files, blend, item_weights, ranking
from lastfm_dask.recommender.all_users import BatchSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.recommender.all_users import AllUsers
    from lastfm_dask.recommender.answers import Recommender

_ARTIST_BYTES = 44
"""By artist: its place in the order and back, its norm, its listeners, and what sorting needs."""
_SCORE_BYTES = 5
"""By user and artist of a block: the score, and whether it is better than the worst that is kept."""
_FIRST_SCORE_BYTES = 17
"""The same of the first block, whose best are all kept: beside these the score turned, and its place in order."""
_CANDIDATE_BYTES = 140
"""By user and artist kept: columns, scores and places while lists are merged and scored, and what is written."""
_SEEN_BYTES = 64
"""By stored value of a batch's rows: columns, places, and their order."""
_REACHED_BYTES = 24 + _SEEN_BYTES
"""By artist that a user's item weights reach: its column, score, and what is hidden from the search by vectors."""
_GATHERED_BYTES = 44
"""By weight of a list while they are summed: its place, column, what it adds, and what these are made of."""
_ROW_BYTES = 320
"""By row of a group: user, rank, artist and score, as gathered, as one table, and as encoded."""
_THREAD_BYTES = 3 * MIB
_NAMES_SHARE = 3
"""Of names that are read: the column as it is stored, in pieces, and as one array."""
_ANSWERED_ARTIST_BYTES = 72
_POPULAR_BYTES = 56
"""By artist, where listeners count in a blend: a score for all of them, its parts, and the best of them."""
_SHOWN_SHARE = 6
"""Of the names of a list that is shown: as Python's texts, and as JSON that is quoted, joined and encoded."""
MANIFEST_SHARE = 4
"""Of the manifest, which holds names of the best-known artists: its text, what is read of it, and its checksum's."""
_EXPLAINED_BYTES = 400
"""By artist of a list that is explained: its name, its part, and both as text."""
_GROUP_SHARE = 8
"""Of the names of a group: by batch, as one table, and as encoded and buffered."""
_LISTED_BYTES = 700
"""By artist of a list that is shown whole: its name, index and plays, and all of it as text."""
_ROWS_AT_ONCE = 1 << 16
_SMALL_BYTES = 8 * MIB


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
    n_weights: int = 0
    """Item weights that rank beside the vectors."""
    by_popularity: bool = False
    """Whether listeners count in a blend."""
    longest_name_bytes: int = 0
    """Of an artist's name."""
    manifest_bytes: int = 0
    longest: int = 0
    """Artists of the user who has most."""


@dataclass(frozen=True, slots=True, repr=False)
class AllUsersPlan(Plan[BatchSettings]):
    """What answering for all users will hold, in its only stage."""

    def lines(self) -> list[str]:
        """Return the plan as a person reads it, in one line."""
        at_once = f"{self.settings.batch_users} users at once on {self.settings.threads} threads"
        projected, allowed = format_size(self.projected_bytes), format_size(self.budget.allowed)
        return [f"plan: {at_once}, projected {projected}, allowed {allowed}"]


def recommending_bytes(shape: RecommendingShape, settings: BatchSettings) -> int:
    """Return the projected bytes of answering for all users."""
    batch_users = settings.batch_users
    block = min(ranking.BLOCK_ARTISTS, shape.n_artists)
    scores = batch_users * scored_bytes(shape.n_artists, shape.n)
    vectors = 4 * block * shape.factors + 20 * batch_users * shape.factors
    lists = _CANDIDATE_BYTES * batch_users * (shape.n + ranking.SPARE)
    seen = _SEEN_BYTES * max(settings.values(shape.n_users, shape.nnz), shape.longest)
    by_thread = _THREAD_BYTES + scores + vectors + lists + seen + _reached_bytes(shape)
    group = _ROW_BYTES * min(max(all_users_files.GROUP_ROWS, 16 * shape.n), shape.n_users * shape.n)
    group += _GROUP_SHARE * all_users_files.GROUP_BYTES
    common = _NAMES_SHARE * shape.names_bytes + _ARTIST_BYTES * shape.n_artists + group
    # One batch more than threads: it is written while the others are worked on.
    answering = common + settings.threads * by_thread + lists
    return _SMALL_BYTES + max(answering, MANIFEST_SHARE * shape.manifest_bytes)


def scored_bytes(n_artists: int, n: int) -> int:
    """Return what a user's scores against a block of artists take, in the search for a list of `n`."""
    first = min(max(ranking.FIRST_BLOCK, 2 * (n + ranking.SPARE)), n_artists)
    return max(_FIRST_SCORE_BYTES * first, _SCORE_BYTES * min(ranking.BLOCK_ARTISTS, n_artists))


def _reached_bytes(shape: RecommendingShape) -> int:
    """Return what a thread holds of the artists that item weights reach: of a few users, and of one while it is summed."""
    by_user = min(shape.n_artists, shape.n_weights)
    reached = min(blend.USERS_AT_ONCE * by_user, max(blend.REACHED_AT_ONCE, by_user))
    mean = -(-shape.nnz // max(shape.n_users, 1))
    by_list = 2 * shape.n_weights * max(mean, shape.longest) // max(shape.n_artists, 1)
    return _REACHED_BYTES * reached + _scored_bytes(shape, by_list)


def _scored_bytes(shape: RecommendingShape, n_values: int) -> int:
    """Return what is held while one list's item weights are summed, and all artists' scores where listeners count."""
    gathered = _GATHERED_BYTES * min(n_values, item_weights.VALUES_AT_ONCE)
    return gathered + (8 * bool(n_values) + _POPULAR_BYTES * shape.by_popularity) * shape.n_artists


def blended_bytes(shape: RecommendingShape) -> int:
    """Return what a blend holds beside vectors for one answer, whose list may reach all artists; 0 without one."""
    reached = min(shape.n_weights, shape.n_artists)
    return _REACHED_BYTES * reached + _scored_bytes(shape, shape.n_weights)


def plan_recommending(shape: RecommendingShape, budget: Budget) -> AllUsersPlan:
    """Return a plan that keeps to the budget: smaller batches first, then fewer threads.

    Raises
    ------
    BudgetError
        If the smallest batch on one thread needs more.
    """
    batch_users = min(all_users.BATCH_USERS, max(shape.n_users, 1))
    smallest_batch = min(all_users.MIN_BATCH_USERS, batch_users)

    def candidates() -> Iterator[AllUsersPlan]:
        sizes = [batch_users]
        while sizes[-1] > smallest_batch:
            sizes.append(max(sizes[-1] // 2, smallest_batch))
        settings = [BatchSettings(size, budget.cpus) for size in sizes]
        settings += [BatchSettings(smallest_batch, threads) for threads in range(budget.cpus - 1, 0, -1)]
        for one in settings:
            yield AllUsersPlan({"recommend": recommending_bytes(shape, one)}, 0, one)

    return fit(candidates(), budget, work="recommending to all users", elsewhere="choose another file")


def shape_of(job: AllUsers) -> RecommendingShape:
    """Return the numbers of a job."""
    model = job.model
    names_bytes = model.users.plain_bytes + model.artists.plain_bytes
    shape = shape_of_model(model, min(job.settings.n_pool, model.n_artists), names_bytes)
    return replace(shape, longest=_longest(model))


def shape_of_model(model: Recommender, n: int, names_bytes: int) -> RecommendingShape:
    """Return the numbers of a model for lists of `n` artists; `name_bytes` of names are read."""
    content = model.manifest.content
    said = content.get("blend") or {}
    longest = (content.get("longest_names") or {}).get("artist", MAX_LINE_BYTES)
    return RecommendingShape(
        n_users=model.n_users,
        n_artists=model.n_artists,
        nnz=int(content["nnz"]),
        factors=model.settings.factors,
        n=n,
        names_bytes=names_bytes,
        n_weights=int(said.get("n_weights", 0)),
        by_popularity=bool(said.get("share_popularity")),
        longest_name_bytes=min(int(longest), model.artists.plain_bytes),
        manifest_bytes=(model.path / MANIFEST).stat().st_size,
    )


def answering_budget(*, memory_bytes: int | None = None, threads: int | None = None) -> Budget:
    """Return the budget of answers: measured once the libraries are there, best before names and listeners are read."""
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - what is imported counts as reserved

    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    return Budget.measured(memory_bytes=memory_bytes, threads=threads)


def plan_all_users(
    job: AllUsers,
    *,
    memory_bytes: int | None = None,
    threads: int | None = None,
    budget: Budget | None = None,
) -> AllUsersPlan:
    """Return batch and threads for a job and what is allowed; raises BudgetError if nothing fits.

    Parameters
    ----------
    job : AllUsers
    memory_bytes, threads : int, optional
        The most to use; never more than the process is allowed.
    budget : Budget, optional
        What was measured before the job was made, in place of both: what the job has read by now does not count twice.
    """
    return plan_recommending(
        shape_of(job), budget or answering_budget(memory_bytes=memory_bytes, threads=threads)
    )


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Whether a user is looked up by name, beside artists."""

    by_user: bool


def answer_bytes(shape: RecommendingShape, *, longest: int = 0, explains: bool = False) -> int:
    """Return the projected bytes of one answer: names as they are read and kept, the order of all artists, one list.

    Parameters
    ----------
    shape : RecommendingShape
        The model's.
    longest : int
        Artists of the user who has most, where one of them may ask; 0 where only a new user does.
    explains : bool
        Whether the list's vectors are gathered, in float64 too, and each artist's part is named.
    """
    vectors = 4 * ranking.BLOCK_ARTISTS * shape.factors + 32 * shape.factors * shape.factors
    by_seen = _SEEN_BYTES + (_EXPLAINED_BYTES + 20 * shape.factors if explains else 0)
    names = _NAMES_SHARE * shape.names_bytes
    n_shown = max(shape.n, longest if explains else 0)
    shown = _SHOWN_SHARE * min(n_shown * shape.longest_name_bytes, shape.names_bytes)
    ordered = _ANSWERED_ARTIST_BYTES * shape.n_artists + blended_bytes(shape)
    answer = names + ordered + vectors + by_seen * longest + shown
    return _SMALL_BYTES + max(answer, MANIFEST_SHARE * shape.manifest_bytes)


def plan_answer(
    model: Recommender,
    *,
    by_user: bool,
    n: int = 10,
    explains: bool = False,
    memory_bytes: int | None = None,
) -> Plan[AnswerSettings]:
    """Return the plan of one answer; raises BudgetError if it does not fit, before names are read.

    Parameters
    ----------
    model : Recommender
    by_user : bool
        Whether a user of the model asks, whose name is looked up beside artists'.
    n : int
        Artists that are listed at most.
    explains : bool
        Whether the answer explains a score.
    memory_bytes : int, optional
        Use at most this many bytes, and no more than the process is allowed.
    """
    budget = answering_budget(memory_bytes=memory_bytes)
    return fit_answer(model, budget, by_user=by_user, n=n, explains=explains)


def fit_answer(
    model: Recommender,
    budget: Budget,
    *,
    by_user: bool,
    n: int = 10,
    explains: bool = False,
    longest: int | None = None,
) -> Plan[AnswerSettings]:
    """Return the plan of one answer within a budget, for a user of at most `longest` artists; see `plan_answer`."""
    names_bytes = model.artists.plain_bytes + (model.users.plain_bytes if by_user else 0)
    shape = shape_of_model(model, min(n, model.n_artists), names_bytes)
    if longest is None:
        longest = _longest(model) if by_user else 0
    projected = answer_bytes(shape, longest=longest, explains=explains)
    plan = Plan({"answer": projected}, 0, AnswerSettings(by_user))
    return fit([plan], budget, work="one answer", elsewhere="choose another folder")


def listing_plan(dataset: Dataset, longest: int | None = None) -> Plan[AnswerSettings]:
    """Return what showing one user's rows takes: names as they are read, and a list of at most `longest` as text."""
    names_bytes = dataset.users.plain_bytes + dataset.artists.plain_bytes
    if longest is None:
        longest = int(dataset.statistics.get("artists_per_user", {}).get("max") or 0)
    longest_name = (dataset.manifest.content.get("longest_names") or {}).get("artist", MAX_LINE_BYTES)
    shown = _SHOWN_SHARE * min(longest * int(longest_name), dataset.artists.plain_bytes)
    projected = _SMALL_BYTES + _NAMES_SHARE * names_bytes + _LISTED_BYTES * longest + shown
    return Plan({"list": projected}, 0, AnswerSettings(by_user=True))


def _longest(model: Recommender) -> int:
    """Return how many artists the user has who has most."""
    indptr, size = model.matrix[0], _ROWS_AT_ONCE
    starts = range(0, model.n_users, size)
    return max((int(np.diff(indptr[start : start + size + 1]).max()) for start in starts), default=0)

"""Each user's list: how long it is, which artists it holds, and how often they were played. Pure.

The design of the whole log is drawn first and is small; the lists are then drawn block by block, each block from its
own random numbers. Artists of the long tail are placed one user at a time, the others are drawn from the user's
taste groups until the list is full. Names and bytes are handled elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.synthesis.popularity import SLOT_WEIGHTS, TAIL_LISTENERS, listeners_by_rank, make_tastes

if TYPE_CHECKING:
    import numpy.typing as npt

    from lastfm_dask.synthesis.popularity import Tastes

MAX_PLAYS = 419_157
"""The real log's largest count."""
DATED_ROWS = 43
"""Rows of each of the two users whose id is a date."""

# Of ten lists seven are cut near fifty by the service that they came from, the others vary: together sd 8.5 at 48.87.
_LIST_KINDS = ((0.7, 1.0, 0.041), (0.3, 1.0, 0.31))
# Plays are exp(level + spread * (Gamma(2) - 2)), a user's level following Gumbel's law for least values (more
# listeners are far below the middle than far above it). Fitted to the published log's sum, ones and median lists.
_LEVEL, _LEVEL_SCALE = 5.0, 0.93
_SPREAD, _SPREAD_SD, _MAX_SPREAD = 0.43, 0.33, 0.75
# A few lists name an artist twice, by two spellings or two MBIDs.
_REPEATED = 3e-6
_ANY_GROUP = 0.3
_ROUNDS = 8
# A list's key in one int64: the user within the block, a random order, the artist.
_ARTIST_BITS, _ORDER_BITS = 24, 28
_ARTIST_MASK = (1 << _ARTIST_BITS) - 1


@dataclass(frozen=True, slots=True)
class Design:
    """The decisions made before any row is drawn.

    Attributes
    ----------
    n_rows : ndarray, shape (n_users,), int64
        Length of each user's list.
    groups : ndarray, shape (n_users, 3), int64
        Each user's taste groups, the strongest first.
    tastes : Tastes
        The groups' artists.
    tail_indptr, tail_artists : ndarray, int64
        Artists placed one by one, those of user u from tail_indptr[u] to tail_indptr[u + 1].
    """

    n_rows: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    tastes: Tastes
    tail_indptr: npt.NDArray[np.int64]
    tail_artists: npt.NDArray[np.int64]


def row_counts(n_users: int, n_rows: int, n_artists: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the lengths of the lists: at least one each, at most `n_artists`, `n_rows` in all.

    Parameters
    ----------
    n_users, n_rows, n_artists : int
        With n_users <= n_rows <= n_users * n_artists.
    rng : Generator
        Decides the lengths.
    """
    kind = rng.random(n_users) >= _LIST_KINDS[0][0]
    centre = np.where(kind, _LIST_KINDS[1][1], _LIST_KINDS[0][1])
    width = np.where(kind, _LIST_KINDS[1][2], _LIST_KINDS[0][2])
    factor = centre + width * rng.standard_normal(n_users)
    counts = np.clip(np.rint(factor * (n_rows / n_users)), 1, n_artists).astype(np.int64)
    while missing := n_rows - int(counts.sum()):
        step = 1 if missing > 0 else -1
        movable = np.flatnonzero(counts < n_artists if step > 0 else counts > 1)
        if len(movable) > abs(missing):
            movable = rng.choice(movable, abs(missing), replace=False)
        counts[movable] += step
    return counts


def make_design(n_rows: npt.NDArray[np.int64], n_artists: int, rng: np.random.Generator) -> Design:
    """Decide the taste groups, and place the artists that have few listeners.

    Parameters
    ----------
    n_rows : ndarray, shape (n_users,), int64
        Length of each list, at most `n_artists`.
    n_artists : int
        The most heard is artist 0.
    rng : Generator
        Decides all.
    """
    n_users = len(n_rows)
    listeners = listeners_by_rank(n_users, n_artists, int(n_rows.sum()))
    n_head = int(np.count_nonzero(listeners > TAIL_LISTENERS))
    tastes = make_tastes(listeners, n_head, n_users, rng)
    groups = rng.integers(0, tastes.n_groups, (n_users, len(SLOT_WEIGHTS)))
    artists = np.repeat(np.arange(n_head, n_artists), listeners[n_head:])
    users = _place_tail(tastes.main_group[artists], groups[:, 0], n_rows, tastes.n_groups, rng)
    order = np.argsort(users, kind="stable")
    # Rows that found no list (users == n_users) sort last, and no user's range holds them.
    indptr = np.searchsorted(users[order], np.arange(n_users + 1))
    return Design(n_rows, groups, tastes, indptr, artists[order])


def _place_tail(
    wanted: npt.NDArray[np.int64],
    group_of_user: npt.NDArray[np.int64],
    n_rows: npt.NDArray[np.int64],
    n_groups: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Return a user for each row of the tail, most of them from the wanted group; no list gets more than it holds."""
    n_users = len(n_rows)
    wanted = np.where(rng.random(len(wanted)) < _ANY_GROUP, rng.integers(0, n_groups, len(wanted)), wanted)
    users = np.full(len(wanted), n_users, np.int64)
    for group in range(n_groups):
        members = np.flatnonzero(group_of_user == group)
        rows = np.flatnonzero(wanted == group)
        _take_places(users, rows, members, n_rows[members], rng)
    left = np.flatnonzero(users == n_users)
    if len(left):
        free = n_rows - np.bincount(users, minlength=n_users + 1)[:n_users]
        _take_places(users, left, np.arange(n_users), free, rng)
    return users


def _take_places(
    users: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    n_free: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Assign distinct free places of these members to these rows while there are any."""
    ends = n_free.cumsum()
    n_places = int(ends[-1]) if len(ends) else 0
    rows = rows[:n_places]
    places = rng.choice(n_places, len(rows), replace=False)
    users[rows] = members[np.searchsorted(ends, places, side="right")]


def draw_lists(
    design: Design, users: range, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw the lists of these users.

    Parameters
    ----------
    design : Design
        The log's.
    users : range
        At most 2,048 of them.
    rng : Generator
        Decides what the design leaves open.

    Returns
    -------
    listeners, artists : ndarray, shape (n,), int64
        One row each: the user's place in `users`, rising, and the artist, in random order within a user.
        Listener u has exactly `design.n_rows[u]` rows; but for a few in a million its artists are distinct.
    """
    wanted = design.n_rows[users.start : users.stop]
    placed = slice(int(design.tail_indptr[users.start]), int(design.tail_indptr[users.stop]))
    n_placed = np.diff(design.tail_indptr[users.start : users.stop + 1])
    listeners = np.repeat(np.arange(len(users)), n_placed)
    held = _distinct(listeners << _ARTIST_BITS | design.tail_artists[placed])
    for _ in range(_ROUNDS):
        short = wanted - np.bincount(held >> _ARTIST_BITS, minlength=len(users))
        if not short.any() or not len(design.tastes.members):
            break
        n_draws = np.where(short > 0, np.ceil(short * (design.tastes.draws_per_row * 1.1)) + 2, 0).astype(
            np.int64
        )
        listeners = np.repeat(np.arange(len(users)), n_draws)
        groups = _draw_groups(design, listeners + users.start, rng)
        fresh = _distinct(listeners << _ARTIST_BITS | design.tastes.draw(groups, rng))
        fresh = fresh[~_is_in(fresh, held)]
        held = np.sort(np.concatenate([held, _some_of_each(fresh, short, rng)]))
    held = _filled(held, wanted)
    keys = _in_random_order(held, rng)
    listeners, artists = keys >> (_ARTIST_BITS + _ORDER_BITS), keys & _ARTIST_MASK
    again = np.flatnonzero((rng.random(len(keys) - 1) < _REPEATED) & (listeners[1:] == listeners[:-1])) + 1
    artists[again] = artists[again - 1]
    return listeners, artists


def _draw_groups(
    design: Design, users: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    slots = np.searchsorted(np.cumsum(SLOT_WEIGHTS), rng.random(len(users)), side="right")
    of_all = slots == len(SLOT_WEIGHTS)
    groups = design.groups[users, np.where(of_all, 0, slots)]
    return np.where(of_all, design.tastes.n_groups, groups)


def _distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    keys = np.sort(keys)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys


def _is_in(keys: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which keys are among the others, which are sorted."""
    if not len(others):
        return np.zeros(len(keys), np.bool_)
    places = np.minimum(np.searchsorted(others, keys), len(others) - 1)
    return np.asarray(others[places] == keys)


def _in_random_order(keys: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return keys with a random order between user and artist, sorted."""
    order = rng.integers(0, 1 << _ORDER_BITS, len(keys))
    listeners = keys >> _ARTIST_BITS
    return np.sort((listeners << _ORDER_BITS | order) << _ARTIST_BITS | (keys & _ARTIST_MASK))


def _some_of_each(
    keys: npt.NDArray[np.int64], most: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return at most `most[u]` of each user's keys, chosen at random."""
    keys = _in_random_order(keys, rng)
    listeners = keys >> (_ARTIST_BITS + _ORDER_BITS)
    starts = np.searchsorted(listeners, np.arange(len(most)))
    kept = np.arange(len(keys)) - starts[listeners] < most[listeners]
    return np.asarray((listeners << _ARTIST_BITS | (keys & _ARTIST_MASK))[kept])


def _filled(held: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the keys with every list that is still short filled with the most popular artists that it lacks."""
    short = wanted - np.bincount(held >> _ARTIST_BITS, minlength=len(wanted))
    more = [held]
    for user in np.flatnonzero(short > 0).tolist():
        low, high = np.searchsorted(held, [user << _ARTIST_BITS, (user + 1) << _ARTIST_BITS])
        lacking = np.setdiff1d(np.arange(wanted[user]), held[low:high] & _ARTIST_MASK)
        more.append(user << _ARTIST_BITS | lacking[: short[user]])
    return np.concatenate(more)


def draw_plays(
    listeners: npt.NDArray[np.int64], n_users: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return how often each row's artist was played, falling within a user.

    Parameters
    ----------
    listeners : ndarray, shape (n,), int64
        Rising, below `n_users`.
    n_users : int
        Listeners of the block.
    rng : Generator
        Decides the counts.

    Returns
    -------
    ndarray, shape (n,), int64
        From 1 to just below `MAX_PLAYS`.
    """
    level = _LEVEL + _LEVEL_SCALE * np.log(rng.standard_exponential(n_users) + 1e-9)
    spread = np.minimum(_SPREAD * np.exp(_SPREAD_SD * rng.standard_normal(n_users)), _MAX_SPREAD)
    excess = rng.standard_exponential(len(listeners)) + rng.standard_exponential(len(listeners)) - 2
    plays = np.rint(np.exp(level[listeners] + spread[listeners] * excess))
    plays = np.clip(plays, 1, MAX_PLAYS - 1).astype(np.int64)
    # Sorted as one number, user and complement of the count: the artists are in random order anyway.
    keys = np.sort(listeners << 20 | (MAX_PLAYS - plays))
    return MAX_PLAYS - (keys & ((1 << 20) - 1))

"""How many listeners each artist has, and the taste groups from which listeners draw their artists. Pure.

Listeners by rank follow a Zipf-Mandelbrot law, L(r) = L(1) * ((r + q) / (1 + q)) ** -s, whose q and s are solved so
that the most heard artist, the median artist and the sum of all are the real log's, scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TOP_SHARE = 0.215
"""Share of the lists that the most heard artist is in."""
ROWS_PER_USER = 48.87
MEDIAN_LISTENERS = 2.4
"""The law at the median artist: rounded down and up in turn, so half of the artists have two or fewer."""
TAIL_LISTENERS = 8
"""Rows of artists with at most this many listeners are placed one by one; those of others are drawn."""
SLOT_WEIGHTS = (0.5, 0.22, 0.1)
"""Share of a list that is drawn from the user's first, second and third taste group; the rest is from all."""


def listeners_by_rank(n_users: int, n_artists: int, n_rows: int) -> npt.NDArray[np.int64]:
    """Return how many listeners each artist shall have, falling, at least one each.

    Parameters
    ----------
    n_users, n_artists, n_rows : int
        The log's size, with n_artists <= n_rows.

    Returns
    -------
    ndarray, shape (n_artists,), int64
        The sum is within 0.1 % of `n_rows`, up to rounding.
    """
    import numpy as np

    top = max(1.0, n_users * TOP_SHARE * min(1.0, n_rows / n_users / ROWS_PER_USER))
    ranks = np.arange(1, n_artists + 1, dtype=np.float64)

    def law(log_q: float) -> npt.NDArray[np.float64]:
        q = np.exp(log_q)
        steepness = np.log(top / MEDIAN_LISTENERS) / np.log((n_artists / 2 + q) / (1 + q))
        return np.asarray(np.maximum(top * ((ranks + q) / (1 + q)) ** -steepness, 1.0))

    curve = np.ones(n_artists)
    if top > MEDIAN_LISTENERS and n_artists >= 4:
        curve = law(_bisect(lambda log_q: float(law(log_q).sum()) - n_rows, -5.0, 20.0))
    # Where no such law has that sum (few artists, or few rows), the median gives way.
    limit = 0.8 * n_users
    factor = np.exp(
        _bisect(lambda f: float(np.clip(curve * np.exp(f), 1, limit).sum()) - n_rows, -20.0, 20.0)
    )
    sums = np.floor(np.clip(curve * factor, 1, max(limit, 1)).cumsum() + 0.5).astype(np.int64)
    return np.asarray(np.maximum(np.diff(sums, prepend=0), 1))


def _bisect(rising: object, low: float, high: float) -> float:
    """Return where a rising function crosses zero, or the nearer end where it does not."""
    assert callable(rising)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class Tastes:
    """Taste groups as one table of cumulated probabilities, from which artists are drawn by one binary search.

    Attributes
    ----------
    n_groups : int
        Groups; group `n_groups` stands for all artists.
    main_group : ndarray, shape (n_artists,), int64
        One group of each artist, those of the tail included.
    cumulated : ndarray, float64
        Group after group, group g's members within (g, g + 1].
    members : ndarray, int64
        The artist at each place of `cumulated`.
    draws_per_row : float
        How many draws make one distinct row, on average.
    """

    n_groups: int
    main_group: npt.NDArray[np.int64]
    cumulated: npt.NDArray[np.float64]
    members: npt.NDArray[np.int64]
    draws_per_row: float

    def draw(self, groups: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return one artist from each of these groups."""
        import numpy as np

        places = np.searchsorted(self.cumulated, groups + rng.random(len(groups)))
        return self.members[np.minimum(places, len(self.members) - 1)]


def make_tastes(
    listeners: npt.NDArray[np.int64], n_head: int, n_users: int, rng: np.random.Generator
) -> Tastes:
    """Deal the artists into taste groups so that each of the first `n_head` gets its listeners.

    A popular artist is in many groups, others in one. An artist's rate solves
    1 - exp(-w0 * rate) * prod_j(1 - f + f * exp(-w_j * rate / f)) = share of the lists it is in, where f is the share
    of the groups that it is in: Poisson draws from slot j reach it where the listener's group j is one of its own.
    """
    import numpy as np

    n_artists = len(listeners)
    n_groups = int(np.clip(n_head // 40, 2, 64))
    share = np.minimum(listeners[:n_head] / n_users, 0.95)
    n_memberships = np.clip(np.ceil(n_groups * share * 2.2), 1, n_groups).astype(np.int64)
    # Dealt like cards, each round in another order, so that the groups come out equally popular.
    n_cards = int(n_memberships.sum()) + n_artists - n_head
    rounds = rng.permuted(np.tile(np.arange(n_groups), (n_cards // n_groups + 2, 1)), axis=1).ravel()
    starts = np.concatenate([[0], n_memberships.cumsum()])[:-1]
    artists = np.repeat(np.arange(n_head), n_memberships)
    # Consecutive cards may straddle two rounds: stepping from the first card keeps an artist's groups distinct.
    steps = np.arange(len(artists)) - starts[artists]
    groups = (rounds[starts[artists]] + steps) % n_groups
    main_group = np.concatenate([groups[starts], rounds[int(n_memberships.sum()) :][: n_artists - n_head]])

    rate = _solve_rate(share, n_memberships / n_groups)
    order = np.argsort(groups, kind="stable")
    weight = (rate / n_memberships)[artists[order]]
    totals = np.bincount(groups, weights=(rate / n_memberships)[artists], minlength=n_groups)
    ends = np.cumsum(np.bincount(groups, minlength=n_groups))
    cumulated = np.empty(len(order) + n_head)
    for group, end in enumerate(ends.tolist()):
        begin = int(ends[group - 1]) if group else 0
        cumulated[begin:end] = group + weight[begin:end].cumsum() / totals[group]
    cumulated[len(order) :] = n_groups + rate.cumsum() / rate.sum()
    members = np.concatenate([artists[order], np.arange(n_head)])
    return Tastes(
        n_groups, main_group, cumulated, members, float(rate.sum() / share.sum()) if n_head else 1.0
    )


def _solve_rate(share: npt.NDArray[np.float64], fraction: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import numpy as np

    low, high = np.full(len(share), -30.0), np.full(len(share), 10.0)
    for _ in range(50):
        middle = (low + high) / 2
        rate = np.exp(middle)
        missed = np.exp(-(1 - sum(SLOT_WEIGHTS)) * rate)
        for weight in SLOT_WEIGHTS:
            missed = missed * (1 - fraction + fraction * np.exp(-weight * rate / fraction))
        short = 1 - missed < share
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray(np.exp((low + high) / 2))

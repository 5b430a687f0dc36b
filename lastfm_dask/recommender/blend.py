"""The best artists by a blend of dot products of vectors, item weights' scores, and how many listeners artists have.

Exact, as `ranking` is: of the artists that a list's item weights reach, those whose blended score can be among the best
are scored by both parts; of the others, whose second part is zero, the best are the best by vectors. Where listeners
count, every artist has that part, and all are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.recommender.ranking import SPARE, Ranked, Ranking, SeenItems, exact_scores, products

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from lastfm_dask.recommender.item_weights import ItemWeights

    Floats = npt.NDArray[np.floating]

USERS_AT_ONCE = 32
"""Users whose reached artists are held at once."""
REACHED_AT_ONCE = 1 << 16
"""Artists that these reach, at most, but for one user who reaches more."""


@dataclass(frozen=True, slots=True)
class Lists:
    """What a batch of users have: rows of a CSR matrix of plays."""

    indptr: npt.NDArray[np.integer]
    """Shape (n_users + 1,); `indptr[0]` is 0."""
    indices: npt.NDArray[np.integer]
    plays: Floats

    def of(self, row: int) -> tuple[npt.NDArray[np.integer], Floats]:
        """Return one user's columns and plays."""
        part = slice(int(self.indptr[row]), int(self.indptr[row + 1]))
        return self.indices[part], self.plays[part]

    def rows(self, start: int, end: int) -> Lists:
        """Return some of the users."""
        first, last = int(self.indptr[start]), int(self.indptr[end])
        return Lists(self.indptr[start : end + 1] - first, self.indices[first:last], self.plays[first:last])


@dataclass(frozen=True, slots=True)
class Blend:
    """A blend of up to three scores: factors, item weights, popularity."""

    weights: ItemWeights
    share_als: float
    """What the dot product of vectors is multiplied by; 0: the factors do not count."""
    share_weights: float
    """What the item weights' score is multiplied by."""
    share_popularity: float = 0.0
    """What the number of listeners is multiplied by."""
    listeners: npt.NDArray[np.integer] | None = None
    """Of each artist, shape (n_artists,); given where they count."""

    def score(
        self, als: Floats, items: npt.NDArray[np.integer], plays: Floats, targets: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float64]:
        """Return the blended scores of some artists for a user's list, given their dot products."""
        return sum(self.parts(als, items, plays, targets), np.zeros(len(targets)))

    def parts(
        self, als: Floats, items: npt.NDArray[np.integer], plays: Floats, targets: npt.NDArray[np.integer]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return what vectors, item weights and listeners add to the blended scores of some artists."""
        reached, values = self.weights.scores(items, plays)
        added = self.share_weights * _of(reached, values, targets)
        return self.share_als * np.asarray(als, np.float64), added, self._popularity(targets)

    def _popularity(self, targets: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        if self.listeners is None or not self.share_popularity:
            return np.zeros(len(targets))
        return self.share_popularity * np.asarray(self.listeners[targets], np.float64)

    def contributions(
        self,
        als: Floats,
        items: npt.NDArray[np.integer],
        plays: Floats,
        targets: npt.NDArray[np.integer],
    ) -> npt.NDArray[np.float64]:
        """Return what each artist of a list adds to blended scores, given what it adds to dot products; same shape."""
        added = self.weights.contributions(items, plays, targets)
        return self.share_als * np.asarray(als) + self.share_weights * added

    def best(
        self, ranking: Ranking, vectors: Floats, lists: Lists, n: int, include_known: bool = False
    ) -> Ranked:
        """Return the `n` best artists for each of a batch of users, as `Ranking.best` does.

        Parameters
        ----------
        ranking : Ranking
            The artists that may be listed.
        vectors : floats, shape (n_users, factors)
        lists : Lists
            What the users have; left out of their lists but with `include_known`.
        n : int
        include_known : bool
        """
        n_users = len(lists.indptr) - 1
        items, scores = np.full((n_users, n), -1, np.int32), np.full((n_users, n), np.nan)
        search = self._best_of_few if not self.share_popularity else self._best_of_all
        for start, end in self._groups(lists):
            search(
                ranking,
                vectors[start:end],
                lists.rows(start, end),
                include_known,
                (items[start:end], scores[start:end]),
            )
        return Ranked(items, scores)

    def _groups(self, lists: Lists) -> Iterator[tuple[int, int]]:
        """Cut users into groups of few who reach few artists in all: the first row, and the one after the last."""
        reached = np.concatenate(([0], np.cumsum(self.weights.lengths(lists.indices))))[lists.indptr]
        ends = np.concatenate(([0], np.cumsum(np.minimum(np.diff(reached), self.weights.n_artists))))
        for start in range(0, len(ends) - 1, USERS_AT_ONCE):
            for first, last in row_blocks(ends[start : start + USERS_AT_ONCE + 1], REACHED_AT_ONCE):
                yield start + first, start + last

    def _best_of_few(
        self,
        ranking: Ranking,
        vectors: Floats,
        lists: Lists,
        include_known: bool,
        found: tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]],
    ) -> None:
        n, reach = found[0].shape[1], []
        for row in range(len(vectors)):
            known, plays = lists.of(row)
            reached, values = self.weights.scores(known, plays)
            listable = ranking.position[reached] < len(ranking.order)
            if not include_known:
                listable &= ~np.isin(reached, known)
            hidden = np.union1d(reached, known) if not include_known else reached
            reach.append((reached[listable], values[listable] * self.share_weights, hidden))
        if self.share_als:
            seen = SeenItems(
                np.concatenate(([0], np.cumsum([len(hidden) for _, _, hidden in reach]))),
                np.concatenate([hidden for _, _, hidden in reach]),
            )
            others = ranking.best(vectors, n, seen)
        else:
            others = Ranked(np.full((len(vectors), n), -1, np.int32), np.full((len(vectors), n), np.nan))
        for row, (reached, values, _) in enumerate(reach):
            usable = others.items[row] >= 0
            columns, scores = others.items[row][usable], self.share_als * others.scores[row][usable]
            if self.share_als:
                reached, totals = self._scored(ranking, vectors[row], reached, values, scores, n)
            else:
                # Without the other part, an artist with no evidence is not listed.
                reached, totals = reached[values > 0], values[values > 0]
            columns, scores = np.concatenate([columns, reached]), np.concatenate([scores, totals])
            order = np.lexsort((columns, -scores))[:n]
            found[0][row, : len(order)], found[1][row, : len(order)] = columns[order], scores[order]

    def _best_of_all(
        self,
        ranking: Ranking,
        vectors: Floats,
        lists: Lists,
        include_known: bool,
        found: tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]],
    ) -> None:
        """Score every artist for one user after the other: chosen in float32, a few more than asked for, then exactly."""
        n, columns = found[0].shape[1], np.arange(len(ranking.factors))
        popularity, listable = self._popularity(columns), ranking.position < len(ranking.order)
        for row, vector in enumerate(vectors):
            known, plays = lists.of(row)
            reached, values = self.weights.scores(known, plays)
            scores = popularity.copy()
            if self.share_als:
                scores += self.share_als * products(ranking.factors, np.asarray(vector, np.float32))
            scores[reached] += self.share_weights * values
            scores[~listable] = -np.inf
            if not include_known:
                scores[known] = -np.inf
            place = max(len(scores) - n - SPARE, 0)
            chosen = np.flatnonzero((scores >= np.partition(scores, place)[place]) & (scores > -np.inf))
            dots = exact_scores(vector, ranking.factors[chosen])
            totals = self.share_als * dots + self.share_weights * _of(reached, values, chosen)
            totals += popularity[chosen]
            order = np.lexsort((chosen, -totals))[:n]
            found[0][row, : len(order)], found[1][row, : len(order)] = chosen[order], totals[order]

    def _scored(
        self,
        ranking: Ranking,
        vector: Floats,
        reached: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
        others: npt.NDArray[np.float64],
        n: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the reached artists that can be among the best, and their blended scores."""
        if len(others) >= n:
            # No dot product is above the lengths' product; the slack is above any rounding.
            length = float(np.linalg.norm(np.asarray(vector, np.float64))) * (1 + 1e-3)
            norms = ranking.norms[ranking.position[reached]].astype(np.float64)
            possible = values + self.share_als * length * norms >= others.min()
            reached, values = reached[possible], values[possible]
        dots = exact_scores(vector, ranking.factors[reached])
        return reached, self.share_als * dots + values


def _of(
    reached: npt.NDArray[np.int64], values: npt.NDArray[np.float64], targets: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Return the values of some columns, 0 for those that are not among those reached."""
    if not len(reached):
        return np.zeros(len(targets))
    places = np.minimum(np.searchsorted(reached, targets), len(reached) - 1)
    return np.where(reached[places] == targets, values[places], 0.0)

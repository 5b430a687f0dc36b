"""The best artists for one user or for many, exactly, looking only at artists that can still be among them.

A score x.y is at most |x| |y|. Artists are taken by falling |y|; a user is done once their n-th best score so
far is above |x| times the next |y|. Few artists have long vectors, so most are never looked at. Candidates are
chosen in float32, a few more than asked for, and then scored and ordered in float64: an artist's score is the same
number in any batch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.engine.threads import for_each
from lastfm_dask.memory.blas import one_blas_thread

if TYPE_CHECKING:
    import numpy.typing as npt

    Factors = npt.NDArray[np.float32]
    Indices = npt.NDArray[np.integer]

BLOCK_ARTISTS = 4096
"""Artists that a batch of listeners is scored against at once."""
SPARE = 8
"""Candidates kept beyond those asked for, since float32 may order near ties otherwise than float64."""
FIRST_BLOCK = 1024
_READERS = 4
_SHARE_LOOKED_AT = 8
"""A search for one user that has passed this part of the artists is not cut short by their lengths."""
_FEW_VALUES = 1 << 20
_SLACK = 1 + 1e-3
"""Above any rounding of a float32 product of a few thousand factors, as a share of |x| |y|."""


def exact_scores(vectors: npt.NDArray[np.floating], factors: Factors) -> npt.NDArray[np.float64]:
    """Return the dot products of rows of factors with one vector, or each row with its own, in float64.

    Each is summed by itself, so that it does not depend on which other rows are scored with it.
    """
    product = np.multiply(factors, vectors, dtype=np.float64)
    return np.asarray(product.sum(axis=-1))


def most_similar(
    factors: Factors,
    norms: npt.NDArray[np.float32],
    index: int,
    n: int,
    allowed: npt.NDArray[np.bool_] | None = None,
    trust: npt.NDArray[np.float64] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the `n` rows most like one, that one left out, and the cosines of the angles between them, shrunk.

    Parameters
    ----------
    factors : float32, shape (n_artists, factors)
        All are looked at: a short vector can be as similar as a long one.
    norms : float32, shape (n_artists,)
        The length of each row; a row of length 0 is like none.
    index : int
        The row to compare with.
    n : int
        How many at most.
    allowed : bool, shape (n_artists,), optional
        Which rows may be listed; all unless given.
    trust : float64, shape (n_artists,), optional
        What each row's cosine is multiplied by, 0 to 1; 1 unless given.
    """
    target = factors[index]
    lengths = np.where(norms > 0, norms, np.float32(np.inf))
    cosines = products(factors, target)
    cosines /= lengths
    if trust is not None:
        cosines *= trust
    if allowed is not None:
        cosines[~allowed] = -np.inf
    cosines[index] = -np.inf
    place = max(len(cosines) - n - SPARE, 0)
    found = np.flatnonzero(cosines >= np.partition(cosines, place)[place])
    found = found[cosines[found] > -np.inf]
    exact = exact_scores(target.astype(np.float64), factors[found])
    exact /= lengths[found].astype(np.float64) * float(lengths[index])
    if trust is not None:
        exact *= trust[found]
    order = np.lexsort((found, -exact))[:n]
    return found[order], np.clip(exact[order], -1.0, 1.0)


def products(factors: Factors, target: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the dot product of every row with one vector: reading the rows is all it takes, so on a few threads."""
    products = np.empty(len(factors), np.float32)
    n_threads = min(_READERS, len(os.sched_getaffinity(0))) if factors.size > _FEW_VALUES else 1

    def work(part: int) -> None:
        start, end = (len(factors) * (part + i) // n_threads for i in (0, 1))
        np.dot(factors[start:end], target, out=products[start:end])

    # BLAS's own threads wait for each other busily, which on busy CPUs takes longer than the work.
    with one_blas_thread():
        for_each(work, range(n_threads), n_threads)
    return products


@dataclass(frozen=True, slots=True)
class SeenItems:
    """Artists that must not be listed, for a batch of listeners: rows of a CSR matrix."""

    indptr: Indices
    """Shape (n + 1,); `indptr[0]` is 0."""
    indices: Indices


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best artists of a batch of listeners, the best first."""

    items: npt.NDArray[np.int32]
    """Shape (n_listeners, n); -1 where a list has ended."""
    scores: npt.NDArray[np.float64]
    """Shape (n_listeners, n); NaN if a list has ended."""


class Ranking:
    """Artists in the order of their vectors' lengths.

    Parameters
    ----------
    factors : float32, shape (n_artists, factors)
        May be memory-mapped: only rows that are looked at are read.
    order : int32
        Columns by falling norm; those that are not in it are never listed.
    norms : float32
        The length of each of these columns' vectors.
    """

    def __init__(
        self, factors: Factors, order: npt.NDArray[np.int32], norms: npt.NDArray[np.float32]
    ) -> None:
        # A plain array: slicing and indexing a memmap costs more than the work on small blocks.
        self.factors = np.asarray(factors)
        self.order = order
        self.norms = norms

    @classmethod
    def of(cls, factors: Factors, norms: npt.NDArray[np.float32]) -> Ranking:
        """Return all artists, `norms` being the length of each row of `factors`."""
        order = np.argsort(-np.asarray(norms), kind="stable").astype(np.int32)
        return cls(factors, order, np.asarray(norms)[order])

    def only(self, allowed: npt.NDArray[np.bool_]) -> Ranking:
        """Return those artists that are allowed, shape (n_artists,)."""
        kept = allowed[self.order]
        return Ranking(self.factors, self.order[kept], self.norms[kept])

    @cached_property
    def position(self) -> npt.NDArray[np.int32]:
        """The place of each artist in `order`, shape (n_artists,); artists that are left out have places beyond its end."""
        position = np.full(len(self.factors), len(self.order), np.int32)
        position[self.order] = np.arange(len(self.order), dtype=np.int32)
        return position

    def best(self, vectors: npt.NDArray[np.floating], n: int, seen: SeenItems) -> Ranked:
        """Return the `n` best artists for each of a batch of listeners.

        Parameters
        ----------
        vectors : floats, shape (n_listeners, factors)
            float64 for a user who was folded in, float32 as stored for others.
        n : int
            How many artists a list has at most.
        seen : SeenItems
            What each user's list leaves out.

        Returns
        -------
        Ranked
            Ties go by first appearance (the lower column).
        """
        search = _Search(self, np.asarray(vectors, np.float32), n + SPARE, seen)
        found = search.run()
        return self._ordered(vectors, n, found)

    def _ordered(self, vectors: npt.NDArray[np.floating], n: int, found: npt.NDArray[np.int32]) -> Ranked:
        """Score candidates exactly, order them, and keep `n`."""
        ended = found < 0
        scores = np.empty(found.shape, np.float64)
        for row in range(len(found)):
            scores[row] = exact_scores(vectors[row], self.factors[found[row]])
        scores[ended] = -np.inf
        order = np.lexsort((found, -scores), axis=-1)[:, :n]
        items, scores = np.take_along_axis(found, order, 1), np.take_along_axis(scores, order, 1)
        scores[items < 0] = np.nan
        return Ranked(items, scores)


class _Search:
    """One batch's search: the best so far of each user, block after block of artists."""

    def __init__(self, ranking: Ranking, vectors: Factors, n: int, seen: SeenItems) -> None:
        self.ranking = ranking
        self.vectors = vectors
        self.lengths = np.linalg.norm(vectors.astype(np.float64), axis=1) * _SLACK
        # By position, so that each block finds its own in one piece; positions behind the end are never asked for.
        rows = np.repeat(np.arange(len(vectors)), np.diff(seen.indptr))
        positions = ranking.position[seen.indices]
        by_position = np.argsort(positions, kind="stable")
        self.seen_rows, self.seen_positions = rows[by_position], positions[by_position]
        self.items = np.full((len(vectors), n), -1, np.int32)
        self.scores = np.full((len(vectors), n), -np.inf, np.float32)

    def run(self) -> npt.NDArray[np.int32]:
        """Return the candidates, shape (n_listeners, n), -1 where there are no more."""
        n_candidates = len(self.ranking.order)
        alive = np.arange(len(self.vectors))
        start, size = 0, max(FIRST_BLOCK, 2 * self.items.shape[1])
        while start < n_candidates and len(alive):
            end = min(start + size, n_candidates)
            self._look(alive, start, end)
            if end < n_candidates:
                # A bound that is not above the n-th best score can't change a list.
                bound = self.lengths[alive] * float(self.ranking.norms[end])
                alive = alive[bound > self.scores[alive, -1]]
                if len(self.vectors) == len(alive) == 1 and end > n_candidates // _SHARE_LOOKED_AT:
                    self._look_at_all()
                    break
            start, size = end, BLOCK_ARTISTS
        return self.items

    def _look_at_all(self) -> None:
        """Score all artists for the one user again: reading in order is faster than by length."""
        order, vector = self.ranking.order, self.vectors[0]
        scores = products(self.ranking.factors, vector)[order]
        scores[self.seen_positions[self.seen_positions < len(order)]] = -np.inf
        self.items[:], self.scores[:] = -1, -np.inf
        self._keep(np.zeros(1, np.intp), order, scores[None, :])

    def _look(self, alive: npt.NDArray[np.intp], start: int, end: int) -> None:
        """Score the artists of a block for the listeners that are not done, and keep what is better."""
        block = self.ranking.order[start:end]
        all_users = len(alive) == len(self.vectors)
        vectors = self.vectors if all_users else self.vectors[alive]
        scores = vectors @ self.ranking.factors[block].T
        first, last = np.searchsorted(self.seen_positions, [start, end])
        rows, columns = self.seen_rows[first:last], self.seen_positions[first:last] - start
        if not all_users:
            row_of = np.full(len(self.vectors), -1)
            row_of[alive] = np.arange(len(alive))
            rows = row_of[rows]
            rows, columns = rows[rows >= 0], columns[rows >= 0]
        scores[rows, columns] = -np.inf
        self._keep(alive, block, scores)

    def _keep(
        self, alive: npt.NDArray[np.intp], block: npt.NDArray[np.int32], scores: npt.NDArray[np.float32]
    ) -> None:
        n = self.items.shape[1]
        better = scores > self.scores[alive, -1:]
        # Lists that are not full yet: nearly all would pass the comparison.
        short = np.flatnonzero(self.items[alive, -1] < 0) if scores.shape[1] > 4 * n else np.empty(0, np.intp)
        better[short] = False
        rows, columns = np.divmod(np.flatnonzero(better), scores.shape[1])
        if len(short):
            part = scores[short]
            np.negative(part, out=part)
            best = np.argpartition(part, n - 1, axis=1)[:, :n].ravel()
            rows, columns = np.concatenate([rows, np.repeat(short, n)]), np.concatenate([columns, best])
        found = scores[rows, columns]
        usable = found > -np.inf
        changed, rows = np.unique(rows[usable], return_inverse=True)
        if len(changed):
            self._merge(alive[changed], rows, block[columns[usable]], found[usable])

    def _merge(
        self,
        listeners: npt.NDArray[np.intp],
        rows: npt.NDArray[np.intp],
        items: npt.NDArray[np.int32],
        scores: npt.NDArray[np.float32],
    ) -> None:
        """Put what was found, `rows` being places in `listeners`, among these listeners' best."""
        n = self.items.shape[1]
        rows = np.concatenate([np.repeat(np.arange(len(listeners)), n), rows])
        items = np.concatenate([self.items[listeners].ravel(), items])
        scores = np.concatenate([self.scores[listeners].ravel(), scores])
        order = np.lexsort((items, -scores, rows))
        # Places of each row's first entry, then of its first n: every row has n at least.
        starts = np.searchsorted(rows[order], np.arange(len(listeners)))
        chosen = order[starts[:, None] + np.arange(n)]
        self.items[listeners], self.scores[listeners] = items[chosen], scores[chosen]

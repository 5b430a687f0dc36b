"""Baselines: popularity, and sums of item weights (neighbours, EASE).

Each is fitted on a training matrix and ranks artists for users whose lists it receives. Both are deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.training.neighbours import nearest
from lastfm_dask.training.weighting import Totals

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.recommender.item_weights import ItemWeights

    Items = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Popularity:
    """Ranks artists by their listeners, the same for every user but for what a user has already."""

    order: npt.NDArray[np.int64]
    """Columns, the most heard first; ties go by first appearance."""
    position: npt.NDArray[np.int64]
    """The place of each column in `order`."""

    def rank(self, users: npt.NDArray[np.integer], history: csr_matrix, k: int) -> Items:  # noqa: ARG002
        """Return the best `k` columns for each row of `history`, its own left out, -1 where there are no more."""
        items = np.full((history.shape[0], k), -1, dtype=np.int32)
        for row, (start, stop) in enumerate(pairwise(history.indptr.tolist())):
            seen = self.position[history.indices[start:stop]]
            n_candidates = min(k + len(seen), len(self.order))
            free = np.ones(n_candidates, dtype=bool)
            free[seen[seen < n_candidates]] = False
            found = self.order[:n_candidates][free][:k]
            items[row, : len(found)] = found
        return items


def fit_popularity(train: csr_matrix) -> Popularity:
    """Count the listeners of each artist (shape (n_users, n_artists)) and order the artists by them."""
    listeners = Totals.of(train.indptr, train.indices, train.data, train.shape[1]).listeners
    order = np.argsort(-listeners, kind="stable")
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return Popularity(order, position)


@dataclass(frozen=True, slots=True)
class WeightsRanker:
    """Ranks artists by the sum of item weights of a user's artists, each times ln(1 + plays)."""

    weights: ItemWeights

    def rank(self, users: npt.NDArray[np.integer], history: csr_matrix, k: int) -> Items:  # noqa: ARG002
        """Return the best `k` columns for each row of `history`, its own left out, -1 where there are no more."""
        items = np.full((history.shape[0], k), -1, dtype=np.int32)
        for row, (start, stop) in enumerate(pairwise(history.indptr.tolist())):
            known = history.indices[start:stop]
            reached, scores = self.weights.scores(known, history.data[start:stop])
            usable = (scores > 0) & ~np.isin(reached, known)
            found, _ = nearest(reached[usable], scores[usable], k)
            items[row, : len(found)] = found
        return items

"""What can be evaluated: implicit's ALS with any settings, popularity, item neighbours, and EASE.

A candidate is a recipe: fitted on the training part of a split it becomes a ranker, which gives lists. ALS is trained,
ranked and folded in by the same functions that `train` and `recommend` use.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from lastfm_dask.evaluation.baselines import WeightsRanker, fit_popularity
from lastfm_dask.recommender.blend import Blend, Lists
from lastfm_dask.recommender.fold_in import NormalEquations
from lastfm_dask.recommender.item_weights import of_matrix
from lastfm_dask.recommender.ranking import Ranking, SeenItems
from lastfm_dask.training.weighting import Weigher, count_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.evaluation.splits import Split
    from lastfm_dask.training.fit_run import FitRun
    from lastfm_dask.training.second import Second
    from lastfm_dask.training.settings import TrainSettings
    from lastfm_dask.training.weighting import Totals

    Users = npt.NDArray[np.integer]
    Items = npt.NDArray[np.int32]

NEIGHBOURS = "neighbours"
EASE = "ease"
POPULARITY = "popularity"


class Ranker(Protocol):
    """A model fitted on a training part."""

    def rank(self, users: Users, history: csr_matrix, k: int) -> Items:
        """Return the best `k` columns for each of `users`, those in their row of `history` left out, -1 at an end."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to measure: its name, how it is fitted, and its settings where it has any."""

    name: str
    fit: Callable[[Split, FitRun], Ranker] = field(repr=False)
    settings: TrainSettings | None = None


def popularity() -> Candidate:
    """Return the candidate that ranks artists by their listeners."""
    return Candidate(POPULARITY, lambda split, run: fit_popularity(split.train))  # noqa: ARG005


def neighbours() -> Candidate:
    """Return the candidate that ranks artists by the cosine of their log plays to a user's artists."""

    def fit(split: Split, run: FitRun) -> Ranker:
        from lastfm_dask.training.neighbours import fit_neighbours

        return WeightsRanker(of_matrix(fit_neighbours(split.train, run)))

    return Candidate(NEIGHBOURS, fit)


def ease(regularization: float | None = None) -> Candidate:
    """Return the candidate that ranks artists by EASE's weights; refused where its matrix would be too large."""

    def fit(split: Split, run: FitRun) -> Ranker:
        from lastfm_dask.training.ease import REGULARIZATION, fit_ease

        return WeightsRanker(of_matrix(fit_ease(split.train, run, regularization or REGULARIZATION)))

    return Candidate(EASE, fit)


def als(name: str, settings: TrainSettings) -> Candidate:
    """Return the candidate that trains on the training part as `train` does."""
    return Candidate(name, lambda split, run: fit_als(split, settings, run), settings)


def fit_als(split: Split, settings: TrainSettings, run: FitRun) -> AlsRanker:
    """Train implicit's ALS on the training part; weights, transpose and factors are files in the run's folder.

    Item weights are added as `train` would.

    Raises
    ------
    BadInputError
        If a confidence is not above zero, or training diverges.
    """
    from lastfm_dask.dataset.arrays import create_array
    from lastfm_dask.training import fit as fitting
    from lastfm_dask.training import second
    from lastfm_dask.training.check import settle_and_check
    from lastfm_dask.training.prepare import prepare

    n_users, n_artists = split.train.shape
    if settings.auto:
        settings, _ = settle_and_check(split.train, settings, run.folder / "check", threads=run.threads)
    added, _ = second.choose(split.train, settings, run.folder / "choice", threads=run.threads)
    prepared = prepare(split.train, settings, run.folder, range_nnz=run.range_nnz)
    user_factors = create_array(run.folder / "user_factors.npy", (n_users, settings.factors), np.float32)
    item_factors = create_array(run.folder / "item_factors.npy", (n_artists, settings.factors), np.float32)
    fitting.fit(
        prepared.user_items,
        settings,
        user_factors,
        item_factors,
        threads=run.threads,
        progress=run.progress,
    )
    gram, norms = fitting.item_statistics(item_factors)
    ranking = Ranking.of(item_factors, norms)
    blend = None if added is None else _blend(split.train, added, user_factors, gram, run)
    if not split.folds_in:
        return AlsRanker(user_factors, ranking, None, blend)
    # Only bm25 asks for statistics: those of the training part, as `prepare` counted them.
    weigher = Weigher(settings, lambda: cast("Totals", prepared.totals))
    return AlsRanker(user_factors, ranking, FoldIn(ranking.factors, gram, weigher), blend)


def _blend(
    train: csr_matrix,
    added: Second,
    user_factors: npt.NDArray[np.float32],
    gram: npt.NDArray[np.float64],
    run: FitRun,
) -> Blend:
    """Return the blend that `train` would keep."""
    from lastfm_dask.training import second

    run = replace(run, folder=run.folder / "weights")
    run.folder.mkdir()
    weights = second.fit(train, added, run)
    listeners = count_columns(train.indices, train.shape[1])
    return Blend(of_matrix(weights), *second.shares(added, train, weights, user_factors, gram), listeners)


@dataclass(frozen=True, slots=True)
class FoldIn:
    """Gives new users their vectors, from what they have played."""

    item_factors: npt.NDArray[np.float32]
    gram: npt.NDArray[np.float64]
    """Of the artists' factors."""
    weigher: Weigher

    def vectors(self, history: csr_matrix) -> npt.NDArray[np.float64]:
        """Return the exact least-squares solution for each row of plays, shape (n_rows, factors).

        Hu, Koren, Volinsky 2008, eq. 4.
        """
        confidence = self.weigher.confidence(history.indptr, history.indices, history.data)
        vectors = np.empty((history.shape[0], self.gram.shape[0]))
        for row, (start, stop) in enumerate(pairwise(history.indptr.tolist())):
            rows = self.item_factors[history.indices[start:stop]]
            regularization = self.weigher.settings.regularization
            vectors[row] = NormalEquations.of(
                self.gram, rows, confidence[start:stop], regularization
            ).vector()
        return vectors


@dataclass(frozen=True, slots=True)
class AlsRanker:
    """Ranks artists by the dot product of their factors with a user's, as a model's answers are ranked."""

    user_factors: npt.NDArray[np.float32]
    ranking: Ranking
    fold_in: FoldIn | None
    """Whether users are answered only from their history."""
    blend: Blend | None = None
    """Where item weights count too."""

    def rank(self, users: Users, history: csr_matrix, k: int) -> Items:
        """Return the best `k` columns for each of `users`, those in their row of `history` left out, -1 at an end."""
        vectors = self.user_factors[users] if self.fold_in is None else self.fold_in.vectors(history)
        if self.blend is not None:
            lists = Lists(history.indptr, history.indices, history.data)
            return self.blend.best(self.ranking, vectors, lists, k).items
        return self.ranking.best(vectors, k, SeenItems(history.indptr, history.indices)).items

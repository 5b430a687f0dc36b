"""The lists of a batch of users, by whatever a model ranks with: vectors alone, or a blend; then in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.recommender.ranking import Ranked, SeenItems
from lastfm_dask.recommender.rerank import self_information

if TYPE_CHECKING:
    import numpy.typing as npt

    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.blend import Lists
    from lastfm_dask.recommender.users import ListSettings


def listed(
    model: Recommender, vectors: npt.NDArray[np.floating], lists: Lists, settings: ListSettings
) -> Ranked:
    """Return the artists to list for each of a batch of users.

    Parameters
    ----------
    model : Recommender
    vectors : floats, shape (n_users, factors)
        As stored, or folded in.
    lists : Lists
        What the users have.
    settings : ListSettings
    """
    ranking = model.ranking(settings.filters)
    if model.blend is not None:
        found = model.blend.best(ranking, vectors, lists, settings.n_pool, settings.include_known)
    elif settings.include_known:
        nothing = SeenItems(np.zeros(len(vectors) + 1, np.int64), lists.indices[:0])
        found = ranking.best(vectors, settings.n_pool, nothing)
    else:
        found = ranking.best(vectors, settings.n_pool, SeenItems(lists.indptr, lists.indices))
    return _reranked(model, found, settings) if settings.rerank.is_on else found


def _reranked(model: Recommender, ranked: Ranked, settings: ListSettings) -> Ranked:
    """Return the `n` artists to list for each user, in their order, out of pools of the best."""
    items = np.full((len(ranked.items), settings.n), -1, np.int32)
    scores = np.full(items.shape, np.nan)
    for row in range(len(items)):
        kept = ranked.items[row] >= 0
        pool, values = ranked.items[row][kept], ranked.scores[row][kept]
        informations = self_information(model.listeners[pool], model.n_users)
        order = settings.rerank.order(values, model.item_factors[pool], informations, settings.n)
        items[row, : len(order)], scores[row, : len(order)] = pool[order], values[order]
    return Ranked(items, scores)

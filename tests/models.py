"""A small trained model with names that people type, for tests of what answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from making import make_dataset, random_plays

from lastfm_dask import train
from lastfm_dask.recommender.answers import Recommender
from lastfm_dask.training.settings import TrainSettings

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset

NAMES = ["sigur rós", "björk", "radiohead", "the beatles", "1+1=2", "nan", "röyksopp", "a=b"]
N_USERS, N_ARTISTS = 40, 60


def named_dataset(path: Path, n_users=N_USERS, n_artists=N_ARTISTS, seed=0, settings=None) -> Dataset:
    """Return a dataset whose first artists have the names above, and whose users are called like sha1 digests."""
    artists = [*NAMES, *(f"artist {j}" for j in range(len(NAMES), n_artists))]
    plays = random_plays(n_users, n_artists, per_user=9, seed=seed)
    return make_dataset(path, plays, artists=artists, settings=settings)


def small_model(folder: Path, settings: TrainSettings | None = None, **options) -> Recommender:
    """Train on a named dataset in `folder`, as `lastfm.dataset` and `lastfm.model`, and open the model."""
    dataset = named_dataset(folder / "lastfm.dataset", **options)
    train(dataset, folder / "lastfm.model", settings or TrainSettings(factors=8, regularization=2.0))
    return Recommender(folder / "lastfm.model")


def exact_vector(model: Recommender, items, plays) -> np.ndarray:
    """Solve a new listener's least squares by brute force: every artist is an equation, weighted by confidence.

    For `raw` and `log` alone, which need nothing of the whole matrix.
    """
    factors = np.asarray(model.item_factors, np.float64)
    settings = model.settings
    confidence, preference = np.ones(len(factors)), np.zeros(len(factors))
    weight = (
        np.asarray(plays, np.float64)
        if settings.weighting == "raw"
        else np.log1p(np.asarray(plays, np.float64))
    )
    confidence[items] = settings.alpha * weight
    preference[items] = 1
    root = np.sqrt(confidence)
    # The rows of sqrt(lambda) I ask every factor to be zero: ridge regression as plain least squares.
    rows = np.vstack([root[:, None] * factors, np.sqrt(settings.regularization) * np.eye(factors.shape[1])])
    right = np.concatenate([root * preference, np.zeros(factors.shape[1])])
    return np.linalg.lstsq(rows, right, rcond=None)[0]

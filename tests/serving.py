"""A served model with names that people type and names that could do harm, for tests of `serve`."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from making import make_dataset, random_plays

from lastfm_dask import train
from lastfm_dask.serve.app import application
from lastfm_dask.serve.guard import Access
from lastfm_dask.serve.plan import ServingPlan
from lastfm_dask.serve.service import Service
from lastfm_dask.training.settings import TrainSettings

with warnings.catch_warnings():
    # Newer versions ask for httpx's successor; both serve.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = [
    "$$x$$",
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}",
    "a=b=3",
    "a\u202eb\u2066c",
    "&amp;",
    "javascript:alert(1)",
    "x" * 900,
]
NAMES = ["sigur rós", "björk", "radiohead", "the beatles", "röyksopp", *HOSTILE]
PLAN = ServingPlan(2, 8, 0, 1 << 30, 1 << 30)


def served_model(folder: Path, n_artists: int = 60, seed: int = 0, model: str = "als") -> Path:
    """Train a model on random plays of the names above and others."""
    folder.mkdir(exist_ok=True)
    artists = [*NAMES, *(f"artist {j}" for j in range(len(NAMES), n_artists))]
    plays = random_plays(80, n_artists, per_user=9, seed=seed)
    dataset = make_dataset(folder / "lastfm.dataset", plays, artists=artists)
    settings = TrainSettings(factors=8, regularization=2.0, iterations=5, model=model)
    train(dataset, folder / "lastfm.model", settings)
    return folder / "lastfm.model"


@contextmanager
def client(path: Path, access: Access | None = None, plan: ServingPlan = PLAN) -> Iterator[TestClient]:
    """Serve a model to a test's client, without a socket."""
    service = Service(path, plan)
    with TestClient(application(service, access or Access()), base_url="http://localhost") as found:
        found.service = service
        yield found

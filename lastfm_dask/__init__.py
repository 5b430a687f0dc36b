"""Listening logs: ingest out of core with Dask, train implicit's ALS, ask for recommendations.

The public names are imported when first used, so that `import lastfm_dask` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastfm_dask import errors
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.evaluation.api import evaluate, tune
    from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
    from lastfm_dask.evaluation.search import TuneSettings
    from lastfm_dask.evaluation.splits import SplitSettings
    from lastfm_dask.ingestion.options import IngestOptions, Resources
    from lastfm_dask.ingestion.pipeline import ingest
    from lastfm_dask.interactions.formats import SchemaOptions
    from lastfm_dask.interactions.frame import read_interactions
    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.planning import plan
    from lastfm_dask.training.settings import TrainSettings
    from lastfm_dask.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "lastfm_dask.dataset.dataset",
    "Recommender": "lastfm_dask.recommender.answers",
    "EvaluationRun": "lastfm_dask.evaluation.evaluator",
    "EvaluationSettings": "lastfm_dask.evaluation.evaluator",
    "IngestOptions": "lastfm_dask.ingestion.options",
    "Plan": "lastfm_dask.memory.budget",
    "Resources": "lastfm_dask.ingestion.options",
    "SchemaOptions": "lastfm_dask.interactions.formats",
    "SplitSettings": "lastfm_dask.evaluation.splits",
    "TrainSettings": "lastfm_dask.training.settings",
    "TuneSettings": "lastfm_dask.evaluation.search",
    "evaluate": "lastfm_dask.evaluation.api",
    "ingest": "lastfm_dask.ingestion.pipeline",
    "plan": "lastfm_dask.recommender.planning",
    "read_interactions": "lastfm_dask.interactions.frame",
    "train": "lastfm_dask.training.train",
    "tune": "lastfm_dask.evaluation.api",
}

__all__ = [
    "Dataset",
    "EvaluationRun",
    "EvaluationSettings",
    "IngestOptions",
    "Plan",
    "Recommender",
    "Resources",
    "SchemaOptions",
    "SplitSettings",
    "TrainSettings",
    "TuneSettings",
    "errors",
    "evaluate",
    "ingest",
    "plan",
    "read_interactions",
    "train",
    "tune",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "errors":
        return import_module("lastfm_dask.errors")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

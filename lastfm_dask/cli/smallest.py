"""The smallest memory limit of each command on a source, a dataset or a model, for `plan`.

Each command is planned as it plans itself, with what its own process holds before its data: measured in a
process with the same imports. Every limit leaves room for a control group's file pages.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.memory.budget import SPARE_BYTES, Budget, Plan, smallest
from lastfm_dask.memory.libraries import held_by
from lastfm_dask.memory.meter import anon_bytes
from lastfm_dask.memory.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lastfm_dask.ingestion.plan import IngestPlan
    from lastfm_dask.recommender.answers import Recommender

    Planned = Callable[[Budget], Plan[Any]]

_ANSWERING = ("lastfm_dask.recommender.answers", "pyarrow.compute", "pyarrow.parquet")
_TRAINING = ("lastfm_dask.training.fit", "lastfm_dask.training.prepare", "scipy.linalg.lapack")
LIBRARIES = {
    "train": ("lastfm_dask.cli.train", "lastfm_dask.training.train", "pyarrow.parquet", *_TRAINING),
    "evaluate": ("lastfm_dask.cli.evaluate", "lastfm_dask.evaluation.api", "pyarrow.parquet", *_TRAINING),
    "tune": ("lastfm_dask.cli.tune", "lastfm_dask.evaluation.tune", "pyarrow.parquet", *_TRAINING, "optuna"),
    "recommend": ("lastfm_dask.cli.recommend", *_ANSWERING),
    "serve": (
        "lastfm_dask.cli.serve",
        *_ANSWERING,
        "rapidfuzz.process",
        "uvicorn.protocols.http.h11_impl",
        "lastfm_dask.serve.app",
    ),
}
"""The libraries that a command's process has imported when it plans."""
COMMANDS = {
    "source": ("train",),
    "dataset": ("train", "evaluate", "tune"),
    "model": ("recommend", "serve"),
}
_NEXT_START_BYTES = 2 * MIB
"""How much more another start of the same program may hold, with another terminal and longer paths."""


def kind_of(path: Path) -> str | None:
    """Return whether a path is a dataset or a model; None for anything else, such as a source."""
    if not (path / layout.MANIFEST).is_file():
        return None
    return "model" if (path / layout.ITEM_FACTORS).exists() else "dataset"


def reserved_by_command(kind: str) -> dict[str, int]:
    """Return what the commands on a kind of path hold before their data, leaving out those whose extra is missing.

    Call it before this process has imported much: in a small pod both processes count.
    """
    measured = {name: held_by(LIBRARIES[name]) for name in COMMANDS[kind]}
    return {name: held + _NEXT_START_BYTES for name, held in measured.items() if held is not None}


def of_source(plan: IngestPlan, reserved: dict[str, int], *, on_cluster: bool) -> list[dict[str, Any]]:
    """Return what `ingest` needs of a source, and `train` with default settings of the resulting dataset."""
    from lastfm_dask.ingestion.plan import plan_ingest

    source = plan.source
    budget = replace(plan.budget, spare=SPARE_BYTES)
    found = [_command("ingest", lambda b: plan_ingest(source, b, on_cluster=on_cluster), budget)]
    train = _train(source.n_users, source.n_artists, source.n_rows, source.longest, source.most_listeners)
    return found + _each({"train": train}, {"train": "train"}, reserved, budget)


def of_dataset(path: Path, reserved: dict[str, int], budget: Budget) -> list[dict[str, Any]]:
    """Return what `train`, `evaluate` and `tune` with default settings need of a dataset."""
    import scipy.sparse  # noqa: F401 - counted by command already

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.evaluation.api import candidates_of
    from lastfm_dask.evaluation.evaluate import shape_of
    from lastfm_dask.evaluation.evaluator import EvaluationSettings
    from lastfm_dask.evaluation.plan import plan_evaluation
    from lastfm_dask.evaluation.search import TuneSettings
    from lastfm_dask.evaluation.tune import largest_of
    from lastfm_dask.training.plan import longest_list, most_listeners
    from lastfm_dask.training.settings import DEFAULT_PRESET, preset

    dataset, tuned = Dataset(path), TuneSettings()
    before = anon_bytes()
    candidates = candidates_of(preset(DEFAULT_PRESET), ())
    evaluated = shape_of(dataset.user_items, candidates, EvaluationSettings())
    searched = shape_of(dataset.user_items, [largest_of(tuned)], tuned.measured, n_splits=2)
    # Both hold the opened matrix's row pointer when they plan.
    opened = max(0, anon_bytes() - before) + 4 * dataset.n_users
    reserved = {name: held + (0 if name == "train" else opened) for name, held in reserved.items()}
    planned: dict[str, Planned] = {
        "train": _train(
            dataset.n_users,
            dataset.n_artists,
            int(dataset.statistics["nnz"]),
            longest_list(dataset.statistics),
            most_listeners(dataset.statistics),
        ),
        "evaluate": lambda b: plan_evaluation(evaluated, b),
        "tune": lambda b: plan_evaluation(searched, b),
    }
    return _each(planned, {name: name for name in planned}, _with_manifest(path, reserved), budget)


def of_model(path: Path, reserved: dict[str, int], budget: Budget) -> list[dict[str, Any]]:
    """Return what answering needs: one user, all users with ten artists each, and the server."""
    from lastfm_dask.recommender.all_users import AllUsers
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import fit_answer, plan_recommending, shape_of

    model = Recommender(path)
    every = shape_of(AllUsers(model, model.list_settings(10)))
    planned: dict[str, Planned] = {
        "recommend": lambda b: fit_answer(model, b, by_user=True),
        "recommend --all-users": lambda b: plan_recommending(every, b),
        "similar": lambda b: fit_answer(model, b, by_user=False),
        "score": lambda b: fit_answer(model, b, by_user=True),
        "explain": lambda b: fit_answer(model, b, by_user=True, explains=True),
        "serve": lambda b: _serving(model, b),
    }
    process = {name: "serve" if name == "serve" else "recommend" for name in planned}
    return _each(planned, process, _with_manifest(path, reserved), budget)


def _with_manifest(path: Path, reserved: dict[str, int]) -> dict[str, int]:
    """Return what commands hold once they have read a manifest, which holds names of the best-known artists."""
    manifest_bytes = (path / layout.MANIFEST).stat().st_size
    return {name: held + manifest_bytes for name, held in reserved.items()}


def _train(n_users: int, n_artists: int, nnz: int, longest: int, most_listeners: int) -> Planned:
    from lastfm_dask.training.plan import TrainingShape, plan_training
    from lastfm_dask.training.settings import DEFAULT_PRESET, preset

    settings = preset(DEFAULT_PRESET)
    shape = TrainingShape(
        n_users,
        n_artists,
        nnz,
        settings.factors,
        longest=longest,
        most_listeners=most_listeners,
        model=settings.model,
    )
    return lambda budget: plan_training(shape, budget)


def _serving(model: Recommender, budget: Budget) -> Plan[Any]:
    from lastfm_dask.memory.budget import fit
    from lastfm_dask.serve.opened import shape_of
    from lastfm_dask.serve.plan import least_serving

    return fit([least_serving(shape_of(model))], budget, work="serving", elsewhere="choose another folder")


def _each(
    planned: dict[str, Planned], process: dict[str, str], reserved: dict[str, int], budget: Budget
) -> list[dict[str, Any]]:
    """Return each command's entry, with what its process reserves; leave out those that can't run here."""
    return [
        _command(name, plan, replace(budget, reserved=reserved[process[name]], spare=SPARE_BYTES))
        for name, plan in planned.items()
        if process[name] in reserved
    ]


def _command(name: str, planned: Planned, budget: Budget) -> dict[str, Any]:
    plan, smallest_bytes = smallest(planned, budget)
    return {"command": name, "stages": plan.stages, "smallest_bytes": smallest_bytes}

"""The smallest memory limit of each command on a source, a dataset or a model, for `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.memory.budget import Budget, smallest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lastfm_dask.ingestion.plan import IngestPlan
    from lastfm_dask.ingestion.source_shape import SourceShape
    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.training.plan import TrainingShape


def of_source(plan: IngestPlan, *, on_cluster: bool) -> list[dict[str, Any]]:
    """Return what `ingest` needs of a source, and `train` of the dataset that comes of it."""
    from lastfm_dask.ingestion.plan import plan_ingest
    from lastfm_dask.training.plan import TrainingShape
    from lastfm_dask.training.settings import TrainSettings

    source: SourceShape = plan.source
    ingest = _command("ingest", lambda b: plan_ingest(source, b, on_cluster=on_cluster), plan.budget)
    shape = TrainingShape(source.n_users, source.n_artists, source.n_rows, TrainSettings().factors)
    return [ingest, _train(shape, plan.budget)]


def of_dataset(path: Path, budget: Budget) -> list[dict[str, Any]]:
    """Return what `train` with the default settings needs of a dataset."""
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.training.plan import TrainingShape
    from lastfm_dask.training.settings import TrainSettings

    dataset = Dataset(path)
    nnz = int(dataset.statistics["nnz"])
    return [_train(TrainingShape(dataset.n_users, dataset.n_artists, nnz, TrainSettings().factors), budget)]


def of_model(path: Path, budget: Budget) -> list[dict[str, Any]]:
    """Return what answering all users of a model needs, ten artists each."""
    from lastfm_dask.recommender.all_users import AllUsers
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import plan_recommending, shape_of

    model = Recommender(path)
    shape = shape_of(AllUsers(model, model.list_settings(10)))
    return [_command("recommend --all-users", lambda b: plan_recommending(shape, b), budget)]


def kind_of(path: Path) -> str | None:
    """Return whether a path is a dataset or a model; None for anything else, as a source."""
    if not (path / layout.MANIFEST).is_file():
        return None
    return "model" if (path / layout.ITEM_FACTORS).exists() else "dataset"


def _train(shape: TrainingShape, budget: Budget) -> dict[str, Any]:
    import lastfm_dask.training.fit  # noqa: F401 - counts as reserved
    from lastfm_dask.training.plan import plan_training

    measured = Budget.measured(threads=budget.cpus)
    reserved = max(budget.reserved, measured.reserved)
    return _command(
        "train",
        lambda b: plan_training(shape, b),
        Budget(0, reserved, budget.cpus, None, budget.disk_in_memory, spare=measured.spare),
    )


def _command(name: str, planned: Callable[[Budget], Plan[Any]], budget: Budget) -> dict[str, Any]:
    plan, smallest_bytes = smallest(planned, budget)
    return {"command": name, "stages": plan.stages, "smallest_bytes": smallest_bytes}

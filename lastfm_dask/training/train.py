"""From a dataset to a model: weights and their transpose prepared on disk, then implicit's ALS over memory maps.

Two stages. `prepare` settles what the settings leave open, checks it on a sample, and writes confidences and the
transposed matrix to the work directory; `fit` alternates over them. No stage holds the matrix or the factors in
memory. A run that a signal or a kill ends goes on from its last whole iteration.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import publish, refuse_published, work_directory
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.memory import allocator
from lastfm_dask.memory.budget import Budget
from lastfm_dask.progress import reporting
from lastfm_dask.training.model_card import model_card, model_content, read_metrics
from lastfm_dask.training.plan import (
    FitSettings,
    TrainingShape,
    longest_list,
    most_listeners,
    plan_training,
)
from lastfm_dask.training.result import TrainResult, ranks_by, train_result, training_report
from lastfm_dask.training.settings import DEFAULT_PRESET, TrainSettings, preset
from lastfm_dask.training.start import StartModel

if TYPE_CHECKING:
    from os import PathLike

    from lastfm_dask.dataset.store import WorkDirectory
    from lastfm_dask.memory.budget import Plan, Progress, Steps

_SHARED = (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS)
"""The dataset's files that a model keeps."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What all steps of one training share."""

    dataset: Dataset
    settings: TrainSettings
    progress: Progress
    metrics: dict[str, Any] | None
    start: StartModel | None


def train(
    dataset: Dataset | str | PathLike[str],
    output: str | PathLike[str],
    settings: TrainSettings | None = None,
    *,
    memory_bytes: int | None = None,
    threads: int | None = None,
    progress: Progress | Steps | bool | None = None,
    metrics: str | PathLike[str] | None = None,
    start_from: str | PathLike[str] | None = None,
) -> TrainResult:
    """Train implicit's ALS (CPU) on a dataset and publish a model directory.

    Parameters
    ----------
    dataset : Dataset or path
        What `ingest` published.
    output : path
        The model directory to make; it must not exist.
    settings : TrainSettings, optional
        The preset `recommended` unless given.
    memory_bytes : int, optional
        Use at most this many bytes of anonymous memory, and no more than the process is allowed.
    threads : int, optional
        Compute with at most this many threads. The model does not depend on it.
    progress : Progress, callable or bool, optional
        True shows bars in a terminal or a notebook. A callable is called with the stage, how much of it is done, and how
        much there is; a Progress also receives the plan.
    metrics : path, optional
        What `evaluate --json` printed for these settings, to be kept with the model.
    start_from : path, optional
        A model to start from: its factors for the users and artists that this dataset shares. Saves iterations.

    Raises
    ------
    BadInputError
        If a confidence is not above zero, the factors diverge, or `metrics` are of other settings.
    BudgetError
        Before any work, where more memory or disk is needed than is allowed.
    StoreError
        If the output exists, the dataset is damaged, or the disk is full.

    Examples
    --------
    >>> from lastfm_dask import Recommender, train
    >>> from lastfm_dask.training.settings import TrainSettings
    >>> result = train("lastfm.dataset", "small.model", TrainSettings(factors=8))
    >>> len(Recommender(result.path).recommend(likes={"sigur rós": 30}).items)
    10
    """
    output, settings = Path(output), settings or preset(DEFAULT_PRESET)
    refuse_published(output)
    measured = None if metrics is None else read_metrics(Path(metrics), settings)
    start = None if start_from is None else StartModel.open(start_from, settings)
    with reporting(progress) as report_to:
        run = _Run(_opened(dataset), settings, report_to, measured, start)
        plan = plan_train(run.dataset, output, settings, start, memory_bytes=memory_bytes, threads=threads)
        run.progress.planned(plan)
        with work_directory(output) as work:
            return _train_in(work, run, plan)


def _opened(dataset: Dataset | str | PathLike[str]) -> Dataset:
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    if dataset.n_users == 0 or dataset.n_artists == 0:
        msg = f"{dataset.path} holds no interactions: there is nothing to train on"
        raise BadInputError(msg, path=str(dataset.path))
    return dataset


def _import_libraries(settings: TrainSettings) -> None:
    """Import what training needs, so that it counts as reserved before anything is planned."""
    import lastfm_dask.training.fit
    import lastfm_dask.training.prepare  # noqa: F401

    if settings.model != "als":
        import scipy.linalg.lapack  # noqa: F401


def plan_train(
    dataset: Dataset,
    output: Path,
    settings: TrainSettings,
    start: StartModel | None = None,
    *,
    memory_bytes: int | None = None,
    threads: int | None = None,
) -> Plan[FitSettings]:
    """Return the plan of training a dataset into a model at `output`; raises BudgetError if nothing fits."""
    _import_libraries(settings)
    shape = _shape(dataset, output, settings, start)
    budget = Budget.measured(output.absolute().parent, memory_bytes=memory_bytes, threads=threads)
    return plan_training(shape, budget)


def _shape(
    dataset: Dataset, output: Path, settings: TrainSettings, start: StartModel | None
) -> TrainingShape:
    folder = output.absolute().parent
    if not folder.is_dir():
        msg = f"{output} can't be written: {folder} is not a folder; choose one that exists"
        raise StoreError(msg, path=str(output))
    linked = folder.stat().st_dev == dataset.path.stat().st_dev
    files = dataset.manifest.files
    return TrainingShape(
        n_users=dataset.n_users,
        n_artists=dataset.n_artists,
        nnz=int(dataset.statistics["nnz"]),
        factors=settings.factors,
        longest=longest_list(dataset.statistics),
        most_listeners=most_listeners(dataset.statistics),
        copied_bytes=0 if linked else sum(files[name].size_bytes for name in _SHARED),
        names_bytes=start.names_bytes(dataset) if start else 0,
        model=settings.model,
    )


def _train_in(work: WorkDirectory, run: _Run, plan: Plan[FitSettings]) -> TrainResult:
    try:
        return _prepare_and_fit(work, run, plan)
    except Exception:
        # Nothing here would serve another run, and it may be large. What a signal ends can go on.
        work.remove()
        raise


def _prepare_and_fit(work: WorkDirectory, run: _Run, plan: Plan[FitSettings]) -> TrainResult:
    from lastfm_dask.memory.meter import Meter, receipts_document
    from lastfm_dask.training.factors import Fitting

    dataset, threads, nnz = run.dataset, plan.settings.threads, int(run.dataset.statistics["nnz"])
    output = work.fresh_output()
    _share_dataset(dataset.path, output)
    with Meter() as meter:
        with meter.stage("prepare", projected_bytes=plan.stages["prepare"], threads=threads) as stage:
            stage.rows = nnz
            ready = _prepare(work, run, plan)
        # What prepare freed goes back first, so that it does not count as what fit holds.
        allocator.trim()
        with meter.stage("fit", projected_bytes=plan.stages["fit"], threads=threads) as stage:
            fitted = Fitting(dataset, ready.settings, run.start, threads, run.progress).run(
                ready.prepared.user_items, work.spool, output
            )
            stage.rows = 2 * len(fitted.iteration_s) * nnz
            stage.details = {"iteration_s": fitted.iteration_s, **fitted.to_dict()}
        blend = None
        if ready.weights is not None:
            allocator.trim()
            with meter.stage("weights", projected_bytes=plan.stages["weights"], threads=threads) as stage:
                stage.rows = nnz
                blend = _add_weights(work, run, plan, ready.weights)
    document = receipts_document(meter.receipts, plan.budget, allocator="default", threads=threads)
    (output / layout.RECEIPTS).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    totals = ready.prepared.totals
    content = model_content(
        dataset,
        fitted.settings(ready.settings),
        ready.prepared.seen,
        mean_plays=totals.mean_plays if totals else None,
        metrics=run.metrics,
        training={
            **training_report(run.settings, fitted, ready.checked),
            "second": {"tried": ready.tried, "kept": blend is not None},
        },
    )
    if blend is not None:
        content["blend"] = blend
    content["training"]["ranks_by"] = ranks_by(content)
    (output / layout.MODEL_CARD).write_text(model_card(content), encoding="utf-8")
    publish(work, layout.MODEL, content)
    return train_result(work.final, content, document)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What the stage prepare leaves to the others."""

    settings: TrainSettings
    """Settled from the data."""
    checked: Any
    """How a reduced model compares with popularity."""
    weights: Any
    """The item weights to add, chosen on a held-out sample; None if they do not help."""
    tried: Any
    """What that choice was made from."""
    prepared: Any
    """The confidences and their transpose, on disk."""


def _prepare(work: WorkDirectory, run: _Run, plan: Plan[FitSettings]) -> _Ready:
    """Settle the settings, choose whether to add item weights, and write the confidences."""
    from lastfm_dask.training import second
    from lastfm_dask.training.check import settle_and_check
    from lastfm_dask.training.prepare import prepare

    user_items, threads = run.dataset.user_items, plan.settings.threads
    run.progress("check", 0, 1)
    settings, checked = settle_and_check(user_items, run.settings, work.spool / "check", threads=threads)
    wanted = settings if plan.settings.weights else replace(settings, model="als")
    if wanted.model != "als":
        run.progress("choose", 0, 1)
    weights, tried = second.choose(user_items, wanted, work.spool / "choice", threads=threads)
    prepared = prepare(
        user_items,
        settings,
        work.spool,
        range_nnz=plan.settings.range_nnz,
        name_of=run.dataset.artists.name,
        progress=run.progress.of("prepare"),
    )
    return _Ready(settings, checked, weights, tried, prepared)


def _add_weights(work: WorkDirectory, run: _Run, plan: Plan[FitSettings], weights: Any) -> dict[str, Any]:
    """Train the item weights beside the factors; return what the manifest says of the blend."""
    from lastfm_dask.training import second
    from lastfm_dask.training.fit_run import FitRun

    fit_run = FitRun(
        work.spool / "weights", plan.settings.threads, plan.settings.range_nnz, run.progress.of("weights")
    )
    return second.add_to(work.output, run.dataset.user_items, weights, fit_run)


def _share_dataset(source: Path, output: Path) -> None:
    """Give the model the dataset's names and matrix: the same bytes on disk where links can be made."""
    for name in _SHARED:
        target = output / name
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(source / name, target)
        except OSError:
            shutil.copyfile(source / name, target)

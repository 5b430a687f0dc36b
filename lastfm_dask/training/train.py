"""From a dataset to a model: weights and their transpose prepared on disk, then implicit's ALS over memory maps.

Two stages. `prepare` writes confidences and the transposed matrix to the work directory; `fit` alternates over
them, the factors being the model's own files. No stage holds the matrix or the factors in memory. What a model
answers is `answers`' business, what it is worth `evaluation`'s.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import publish, refuse_published, work_directory
from lastfm_dask.display import Shown, Table
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.memory import allocator
from lastfm_dask.memory.budget import Budget, Progress, Steps, progress_of
from lastfm_dask.memory.sizes import format_size
from lastfm_dask.progress import shown
from lastfm_dask.training.model_card import model_card, model_content, read_metrics
from lastfm_dask.training.plan import FitSettings, TrainingShape, plan_training
from lastfm_dask.training.settings import TrainSettings

if TYPE_CHECKING:
    from os import PathLike

    from lastfm_dask.dataset.matrix import MappedCsr
    from lastfm_dask.dataset.store import WorkDirectory
    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.training.weighting import ConfidenceRange

_SHARED = (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS)
"""The dataset's files that a model keeps."""


@dataclass(frozen=True, slots=True, repr=False)
class TrainResult(Shown):
    """What training made and what it took."""

    path: Path
    """The model directory."""
    settings: TrainSettings
    n_users: int
    n_artists: int
    nnz: int
    confidence_min: float
    confidence_max: float
    prepare_s: float
    fit_s: float
    iteration_s: tuple[float, ...]
    """Wall seconds of each iteration, as implicit reports them."""
    allowed_bytes: int
    stages: list[dict[str, Any]] = field(repr=False)
    """The receipts, stage by stage."""

    def _table(self) -> Table:
        rows = [
            (stage["stage"], stage["wall_s"], format_size(stage["measured_bytes"])) for stage in self.stages
        ]
        title = (
            f"{self.path}: {self.n_users:,} users, {self.n_artists:,} artists, trained in {self.fit_s:.1f} s"
        )
        return Table(title, ("stage", "seconds", "measured"), rows)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all steps of one training share."""

    dataset: Dataset
    settings: TrainSettings
    progress: Progress
    metrics: dict[str, Any] | None


def train(
    dataset: Dataset | str | PathLike[str],
    output: str | PathLike[str],
    settings: TrainSettings | None = None,
    *,
    memory_bytes: int | None = None,
    threads: int | None = None,
    progress: Progress | Steps | bool | None = None,
    metrics: str | PathLike[str] | None = None,
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
        Keep to this many bytes of anonymous memory, and to what the process is allowed anyhow.
    threads : int, optional
        Compute with at most this many threads. The model does not depend on it.
    progress : Progress, callable or bool, optional
        True shows bars in a terminal or a notebook. A callable hears of each step: the stage, how much of it is done,
        and how much there is; a Progress hears the plan before that, too.
    metrics : path, optional
        What `evaluate --json` printed for these settings, to be kept with the model.

    Raises
    ------
    BadInputError
        Where a confidence is not above zero, the factors diverge, or `metrics` are of other settings.
    BudgetError
        Before any work, where more memory or disk is needed than is allowed.
    StoreError
        Where the output exists, the dataset is damaged, or the disk is full.

    Examples
    --------
    >>> from lastfm_dask import Recommender, train
    >>> from lastfm_dask.training.settings import TrainSettings
    >>> result = train("lastfm.dataset", "small.model", TrainSettings(factors=8))
    >>> len(Recommender(result.path).recommend(likes={"sigur rós": 30}).items)
    10
    """
    if progress is True:
        with shown() as steps:
            return train(
                dataset,
                output,
                settings,
                memory_bytes=memory_bytes,
                threads=threads,
                progress=steps,
                metrics=metrics,
            )
    output = Path(output)
    refuse_published(output)
    settings = settings or TrainSettings()
    measured = None if metrics is None else read_metrics(Path(metrics), settings)
    run = _Run(_opened(dataset), settings, progress_of(progress), measured)
    _import_libraries()
    shape, folder = _shape(run, output), output.absolute().parent
    plan = plan_training(shape, Budget.measured(folder, memory_bytes=memory_bytes, threads=threads))
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


def _import_libraries() -> None:
    """Import what training needs, so that it counts as reserved before anything is planned."""
    import lastfm_dask.training.fit
    import lastfm_dask.training.prepare  # noqa: F401


def _shape(run: _Run, output: Path) -> TrainingShape:
    dataset, folder = run.dataset, output.absolute().parent
    if not folder.is_dir():
        msg = f"{output} can't be written: {folder} is no folder; choose one that exists"
        raise StoreError(msg, path=str(output))
    linked = folder.stat().st_dev == dataset.path.stat().st_dev
    files = dataset.manifest.files
    return TrainingShape(
        n_users=dataset.n_users,
        n_artists=dataset.n_artists,
        nnz=int(dataset.statistics["nnz"]),
        factors=run.settings.factors,
        copied_bytes=0 if linked else sum(files[name].size_bytes for name in _SHARED),
    )


def _train_in(work: WorkDirectory, run: _Run, plan: Plan[FitSettings]) -> TrainResult:
    try:
        return _prepare_and_fit(work, run, plan)
    except BaseException:
        # Nothing here would serve another run, and it may be large.
        work.remove()
        raise


def _prepare_and_fit(work: WorkDirectory, run: _Run, plan: Plan[FitSettings]) -> TrainResult:
    from lastfm_dask.memory.meter import Meter, receipts_document
    from lastfm_dask.training.prepare import prepare

    dataset, settings = run.dataset, run.settings
    threads = plan.settings.threads
    output = work.fresh_output()
    _share_dataset(dataset.path, output)
    iteration_s: list[float] = []
    with Meter() as meter:
        with meter.stage("prepare", projected_bytes=plan.stages["prepare"], threads=1) as stage:
            stage.rows = int(dataset.statistics["nnz"])
            prepared = prepare(
                dataset.user_items,
                settings,
                work.spool,
                range_nnz=plan.settings.range_nnz,
                name_of=dataset.artists.name,
                progress=run.progress.of("prepare"),
            )
        # What prepare freed goes back first, so that it does not count as what fit holds.
        allocator.trim()
        with meter.stage("fit", projected_bytes=plan.stages["fit"], threads=threads) as stage:
            stage.rows = 2 * settings.iterations * int(dataset.statistics["nnz"])
            _fit(run, threads, prepared.user_items, output, iteration_s)
            stage.details = {"iteration_s": iteration_s}
    document = receipts_document(meter.receipts, plan.budget, allocator="default", threads=threads)
    (output / layout.RECEIPTS).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    mean_plays = prepared.totals.mean_plays if prepared.totals else None
    content = model_content(dataset, settings, prepared.seen, mean_plays=mean_plays, metrics=run.metrics)
    (output / layout.MODEL_CARD).write_text(model_card(content), encoding="utf-8")
    publish(work, layout.MODEL, content)
    return _result(work.final, run, prepared.seen, meter.receipts, tuple(iteration_s), plan.budget.allowed)


def _result(
    path: Path,
    run: _Run,
    seen: ConfidenceRange,
    receipts: list[dict[str, Any]],
    iteration_s: tuple[float, ...],
    allowed_bytes: int,
) -> TrainResult:
    return TrainResult(
        path=path,
        settings=run.settings,
        n_users=run.dataset.n_users,
        n_artists=run.dataset.n_artists,
        nnz=int(run.dataset.statistics["nnz"]),
        confidence_min=seen.lowest,
        confidence_max=seen.highest,
        prepare_s=receipts[0]["wall_s"],
        fit_s=receipts[1]["wall_s"],
        iteration_s=iteration_s,
        allowed_bytes=allowed_bytes,
        stages=receipts,
    )


def _share_dataset(source: Path, output: Path) -> None:
    """Give the model the dataset's names and matrix: the same bytes on disk where links can be made."""
    for name in _SHARED:
        target = output / name
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(source / name, target)
        except OSError:
            shutil.copyfile(source / name, target)


def _fit(run: _Run, threads: int, matrix: MappedCsr, output: Path, iteration_s: list[float]) -> None:
    """Fit the factors in the model's own files, and write what answers need of all artists' factors at once."""
    import numpy as np

    from lastfm_dask.dataset.arrays import create_array
    from lastfm_dask.training.fit import fit, item_statistics

    n_users, n_artists = matrix.shape
    user_factors = create_array(output / layout.USER_FACTORS, (n_users, run.settings.factors), np.float32)
    item_factors = create_array(output / layout.ITEM_FACTORS, (n_artists, run.settings.factors), np.float32)

    def after_iteration(iteration: int, elapsed_s: float) -> None:
        iteration_s.append(elapsed_s)
        run.progress("fit", iteration + 1, run.settings.iterations)

    run.progress("fit", 0, run.settings.iterations)
    fit(matrix, run.settings, user_factors, item_factors, threads=threads, after_iteration=after_iteration)
    gram, norms = item_statistics(item_factors)
    np.save(output / layout.ITEM_GRAM, gram)
    np.save(output / layout.ITEM_NORMS, norms)

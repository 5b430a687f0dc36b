"""From a dataset to a model: weights and their transpose prepared on disk, then implicit's ALS over memory maps.

Two stages. `prepare` writes confidences and the transposed matrix to the work directory; `fit` alternates over
them, the factors being the model's own files. No stage holds the matrix or the factors in memory. What a model
answers is `answers`' business, what it is worth `evaluation`'s.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import disk_full_is_store_error, publish, refuse_existing, work_directory
from lastfm_dask.errors import BadInputError
from lastfm_dask.recommender.settings import TrainSettings

if TYPE_CHECKING:
    from os import PathLike

    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.dataset.store import WorkDirectory
    from lastfm_dask.memory.limits import Allowed
    from lastfm_dask.memory.plan_training import TrainingPlan
    from lastfm_dask.recommender.mapped import MappedCsr
    from lastfm_dask.recommender.weighting import ConfidenceRange, Totals


class Progress(Protocol):
    """Called with the stage, how much of it is done, and how much there is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show it."""


@dataclass(frozen=True, slots=True)
class TrainResult:
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


@dataclass(frozen=True, slots=True)
class _Run:
    """What all steps of one training share."""

    dataset: Dataset
    settings: TrainSettings
    threads: int
    progress: Progress


def train(
    dataset: Dataset | str | PathLike[str],
    output: str | PathLike[str],
    settings: TrainSettings | None = None,
    *,
    memory_bytes: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
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
    progress : callable, optional
        Called after each step of a stage.

    Returns
    -------
    TrainResult
        Where the model is, and what it took.

    Raises
    ------
    BadInputError
        Where the weighting gives a confidence that is not above zero, or the factors diverge.
    BudgetError
        Before any work, where more memory is needed than is allowed.
    StoreError
        Where the output exists, the dataset is damaged, or the disk is full.

    Examples
    --------
    >>> result = train(example_dataset, example_folder / "m.model")  # doctest: +SKIP
    """
    output = Path(output)
    refuse_existing(output)
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    if dataset.n_users == 0 or dataset.n_artists == 0:
        msg = f"{dataset.path} holds no interactions: there is nothing to train on"
        raise BadInputError(msg, path=str(dataset.path))
    from lastfm_dask.memory.limits import allowed_memory, cpus

    run = _Run(dataset, settings or TrainSettings(), cpus(threads).count, progress or _silent)
    _import_libraries()
    allowed = allowed_memory(memory_bytes)
    plan = _plan(run, allowed)
    with work_directory(output) as work:
        return _train_in(work, run, plan, allowed)


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _import_libraries() -> None:
    """Import what training needs, so that it counts as reserved before anything is planned."""
    import implicit.cpu.als
    import scipy.sparse  # noqa: F401
    import threadpoolctl  # type: ignore[import-untyped]  # noqa: F401


def _plan(run: _Run, allowed: Allowed) -> TrainingPlan:
    from lastfm_dask.memory.meter import anon_bytes
    from lastfm_dask.memory.plan_training import TrainingShape, plan_training

    dataset = run.dataset
    shape = TrainingShape(
        n_users=dataset.n_users,
        n_artists=dataset.n_artists,
        nnz=int(dataset.statistics["nnz"]),
        factors=run.settings.factors,
        threads=run.threads,
    )
    return plan_training(shape, reserved_bytes=anon_bytes(), allowed_bytes=allowed.bytes)


def _train_in(work: WorkDirectory, run: _Run, plan: TrainingPlan, allowed: Allowed) -> TrainResult:
    import json

    from lastfm_dask.memory.meter import Meter, receipts_document
    from lastfm_dask.recommender.bundle import model_card, model_content

    output = work.fresh_output()
    _share_dataset(run.dataset.path, output)
    iteration_s: list[float] = []
    with Meter() as meter:
        with meter.stage("prepare", projected_bytes=plan.prepare_bytes, threads=1) as stage:
            stage.rows = len(run.dataset.user_items.indices)
            matrix, seen, totals = prepare(run, work.spool, plan.range_nnz)
        with meter.stage("fit", projected_bytes=plan.fit_bytes, threads=run.threads) as stage:
            stage.rows = 2 * run.settings.iterations * len(matrix.indices)
            fit(run, matrix, output, iteration_s)
    document = receipts_document(meter.receipts, allowed, allocator="pooled", threads=run.threads)
    (output / layout.RECEIPTS).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    content = model_content(run.dataset, run.settings, seen, totals.mean_plays if totals else None)
    (output / layout.MODEL_CARD).write_text(model_card(content), encoding="utf-8")
    publish(work, layout.MODEL, content)
    prepared, fitted = meter.receipts
    return TrainResult(
        path=work.final,
        settings=run.settings,
        n_users=run.dataset.n_users,
        n_artists=run.dataset.n_artists,
        nnz=len(matrix.indices),
        confidence_min=seen.lowest,
        confidence_max=seen.highest,
        prepare_s=prepared["wall_s"],
        fit_s=fitted["wall_s"],
        iteration_s=tuple(iteration_s),
        allowed_bytes=allowed.bytes,
        stages=meter.receipts,
    )


def _share_dataset(source: Path, output: Path) -> None:
    """Give the model the dataset's names and matrix: the same bytes on disk where links can be made."""
    for name in (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS):
        target = output / name
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(source / name, target)
        except OSError:
            with disk_full_is_store_error(target):
                shutil.copyfile(source / name, target)


def prepare(run: _Run, folder: Path, range_nnz: int) -> tuple[MappedCsr, ConfidenceRange, Totals | None]:
    """Write the confidences and their transpose to `folder`; return both, mapped, and what was seen.

    Where confidence is plays (raw, alpha 1) the dataset's own values are used and nothing is written for them.
    """
    import numpy as np

    from lastfm_dask.recommender.mapped import create_array, mapped_pair, transpose_on_disk
    from lastfm_dask.recommender.weighting import ConfidenceRange, Weigher, row_blocks

    plays = run.dataset.user_items
    seen, totals = ConfidenceRange(), _totals(run)
    weigher = Weigher(run.settings, totals)
    target = None if weigher.is_identity else create_array(folder / "confidence.npy", plays.data.shape, np.float32)
    listeners = np.zeros(plays.shape[1], np.int64)
    for start, end in row_blocks(plays.indptr):
        first, last = int(plays.indptr[start]), int(plays.indptr[end])
        indices = plays.indices[first:last]
        values = plays.data[first:last]
        if target is not None:
            values = weigher.confidence(plays.indptr[start : end + 1], indices, values)
            target[first:last] = values
        seen.see(indices, values)
        listeners += np.bincount(indices, minlength=len(listeners))
        run.progress("prepare", last, 2 * len(plays.indices))
    seen.refuse(run.dataset.artists.name, run.settings.weighting)
    user_items = _with_values(plays, plays.data if target is None else target)
    folder = folder / "item_users"
    folder.mkdir(exist_ok=True)
    item_users = transpose_on_disk(user_items, listeners, folder, range_nnz)
    run.progress("prepare", 2 * len(plays.indices), 2 * len(plays.indices))
    return mapped_pair(user_items, item_users), seen, totals() if run.settings.weighting == "bm25" else None


def _totals(run: _Run) -> Any:
    """Return a function that counts the whole matrix when first asked."""
    from functools import cache

    from lastfm_dask.recommender.weighting import Totals

    matrix = run.dataset.user_items
    return cache(lambda: Totals.of(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1]))


def _with_values(matrix: csr_matrix, data: npt.NDArray[np.float32]) -> csr_matrix:
    """Return a matrix of the same places with other values; nothing is copied."""
    from scipy.sparse import csr_matrix

    result = csr_matrix(matrix.shape, dtype=data.dtype)
    result.indptr, result.indices, result.data = matrix.indptr, matrix.indices, data
    result.has_sorted_indices = result.has_canonical_format = True
    return result


def fit(run: _Run, matrix: MappedCsr, output: Path, iteration_s: list[float]) -> None:
    """Run implicit's ALS over the mapped matrix; the factor files in `output` are written in place."""
    import threadpoolctl

    from lastfm_dask.recommender.mapped import create_array

    settings, (n_users, n_artists) = run.settings, matrix.shape

    def after_iteration(iteration: int, elapsed_s: float, loss: float | None) -> None:  # noqa: ARG001
        iteration_s.append(elapsed_s)
        run.progress("fit", iteration + 1, settings.iterations)

    # implicit alone would be many times slower with a threaded BLAS under its own threads.
    with threadpoolctl.threadpool_limits(1, "blas"):
        model = make_model(settings, threads=run.threads)
        model.user_factors = create_array(output / layout.USER_FACTORS, (n_users, settings.factors), "float32")
        model.item_factors = create_array(output / layout.ITEM_FACTORS, (n_artists, settings.factors), "float32")
        first_factors(settings.seed, model.user_factors, model.item_factors)
        model.fit(matrix, show_progress=False, callback=after_iteration)
    for factors in (model.user_factors, model.item_factors):
        factors.flush()


def first_factors(seed: int, *arrays: npt.NDArray[np.float32]) -> None:
    """Fill factor arrays as implicit's `fit` does for this seed, block by block: users first, then artists."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for array in arrays:
        rows = max(1, (1 << 20) // array.shape[1])
        for start in range(0, len(array), rows):
            block = array[start : start + rows]
            block[...] = generator.random(block.shape, dtype=np.float32) * 0.01


def make_model(settings: TrainSettings, *, threads: int) -> Any:
    """Return implicit's ALS for the CPU, untrained, with alpha 1: alpha is in the confidences already."""
    from implicit.cpu.als import AlternatingLeastSquares

    class MappedAls(AlternatingLeastSquares):  # type: ignore[misc]
        """Checks its factors block by block: implicit's check makes a mask of their whole size."""

        def _check_fit_errors(self) -> None:
            for factors in (self.user_factors, self.item_factors):
                refuse_diverged(factors)

    return MappedAls(
        factors=settings.factors,
        regularization=settings.regularization,
        alpha=1.0,
        iterations=settings.iterations,
        num_threads=threads,
        random_state=settings.seed,
    )


def refuse_diverged(factors: npt.NDArray[np.float32]) -> None:
    """Raise BadInputError where a factor is not a finite number."""
    import numpy as np

    rows = max(1, (1 << 20) // factors.shape[1])
    for start in range(0, len(factors), rows):
        if not np.isfinite(factors[start : start + rows]).all():
            msg = (
                f"training diverged: a factor near row {start} is no finite number; raise --regularization, or use"
                " the weighting log"
            )
            raise BadInputError(msg)

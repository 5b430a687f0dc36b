"""Projected bytes of an evaluation's stages: split, fit, rank, measure. Pure: integers in, integers out.

Serves tuning too, whose trials are evaluations of one model each. A projection is what a stage's data takes at most in
anonymous memory; `memory.budget` adds what is reserved. The parts of the split, weights, factors and similarities are
maps of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.dataset import matrix
from lastfm_dask.evaluation import evaluator, metrics, splits
from lastfm_dask.memory.budget import Budget, Plan, fit
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.recommender import item_weights, ranking
from lastfm_dask.training import ease, neighbours
from lastfm_dask.training.plan import (
    FitSettings,
    TrainingShape,
    disk_bytes,
    ease_bytes,
    fit_bytes,
    halved,
    neighbours_bytes,
    page_bytes,
    prepare_bytes,
    weights_disk_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALL_BYTES = 8 * MIB
_SPLIT_VALUE_BYTES = 64
_THREAD_BYTES = 8 * MIB
"""What BLAS touches of its buffers and keeps, and a thread's stack and arena."""
_PRODUCT_VALUE_BYTES = 32
_SCORE_BYTES = 20
"""By artist and user: the score, its negative, and places."""
_N_METRICS = 7


@dataclass(frozen=True, slots=True)
class EvaluationShape:
    """The numbers that decide what an evaluation needs."""

    n_users: int
    n_artists: int
    nnz: int
    longest: int
    """Artists of the user who has most."""
    n_evaluated: int
    n_held_out: int
    """Interactions kept back, at most."""
    k: int
    """The longest list."""
    n_ks: int
    factors: int
    """Of the largest model; 0 where none has factors."""
    neighbours: bool
    ease: bool = False
    n_models: int = 4
    """Models whose figures by user are kept."""
    n_splits: int = 1
    """Splits whose files stand at the same time."""
    most_listeners: int = 0
    """Users of the artist who has most."""
    folds_in: bool = False
    """Whether users get their vectors from their history when they are ranked."""


def stage_bytes(shape: EvaluationShape, settings: FitSettings) -> dict[str, int]:
    """Return each stage's projected bytes."""
    base = _SMALL_BYTES + settings.threads * _THREAD_BYTES
    block = max(min(splits.BLOCK_NNZ, shape.nnz), shape.longest)
    lists = 4 * shape.n_evaluated * shape.k
    return {
        # By interaction a byte of roles, a byte where they equal one, and a copy of its time (split `time`);
        # lengths and choices by user.
        "split": base + 10 * shape.nnz + 56 * shape.n_users + _SPLIT_VALUE_BYTES * block,
        "fit": base + _fit_bytes(shape, settings),
        "rank": base + settings.threads * _rank_thread_bytes(shape) + 16 * shape.n_artists + lists,
        "measure": base + _measure_bytes(shape),
    }


def _training(shape: EvaluationShape) -> TrainingShape:
    model = "blend" if shape.factors and shape.neighbours else "als"
    return TrainingShape(
        shape.n_users,
        shape.n_artists,
        shape.nnz,
        max(shape.factors, 1),
        model=model,
        longest=shape.longest,
        most_listeners=shape.most_listeners,
    )


def _fit_bytes(shape: EvaluationShape, settings: FitSettings) -> int:
    training = _training(shape)
    needs = [40 * shape.n_artists]
    if shape.factors:
        needs += [prepare_bytes(training, settings), fit_bytes(training, settings)]
    if shape.neighbours:
        needs.append(neighbours_bytes(training, settings))
    if shape.ease:
        needs.append(ease_bytes(training, settings))
    return max(needs)


def _rank_thread_bytes(shape: EvaluationShape) -> int:
    """Return what a batch holds: its history, what is scored at once (a block of artists, or a product), lists."""
    batch = min(evaluator.BATCH_USERS * shape.longest, max(evaluator.BATCH_VALUES, shape.longest))
    history = 24 * min(batch, shape.nnz)
    scores = (
        _SCORE_BYTES * evaluator.BATCH_USERS * min(ranking.BLOCK_ARTISTS, shape.n_artists)
        if shape.factors
        else 0
    )
    scores += 4 * shape.factors * (min(ranking.BLOCK_ARTISTS, shape.n_artists) + 4 * evaluator.BATCH_USERS)
    product = 0
    if shape.neighbours or shape.ease:
        reached = shape.longest * (
            ease.weights_of_each(shape.n_artists) if shape.ease else neighbours.N_NEIGHBOURS
        )
        product = _PRODUCT_VALUE_BYTES * (min(reached, item_weights.VALUES_AT_ONCE) + shape.n_artists)
    lists = 64 * (evaluator.BATCH_USERS * shape.k + batch)
    equations = 8 * shape.factors * (4 * shape.factors + 4 * shape.longest) if shape.folds_in else 0
    return max(scores, product) + history + lists + equations


def _measure_bytes(shape: EvaluationShape) -> int:
    held_out = 8 * min(shape.n_held_out, shape.n_evaluated * shape.longest)
    rows = min(shape.n_evaluated, metrics.BLOCK_ROWS)
    compared = rows * shape.k + min(rows * shape.longest, shape.n_held_out)
    by_list = 8 * shape.n_evaluated * shape.k + 40 * compared
    by_user = shape.n_evaluated * (64 + 8 * 2 * _N_METRICS * (shape.n_ks + 1) + 32 * shape.k)
    by_user += 8 * _N_METRICS * shape.n_ks * shape.n_evaluated * (shape.n_models + 1)
    return held_out + by_list + by_user + 40 * shape.n_artists


def temporary_bytes(shape: EvaluationShape) -> int:
    """Return the bytes of the files: the split's parts, and the largest model's."""
    parts = shape.n_splits * (8 * shape.nnz + 3 * 8 * (shape.n_users + 1))
    models = [0]
    if shape.factors:
        models.append(disk_bytes(_training(shape)))
    if shape.neighbours or shape.ease:
        models[0] = weights_disk_bytes(_training(shape))
    return parts + sum(models) + MIB


def plan_evaluation(shape: EvaluationShape, budget: Budget) -> Plan[FitSettings]:
    """Return a plan that keeps to the budget: ranges get shorter first, then threads get fewer.

    Raises
    ------
    BudgetError
        If even one thread and the shortest ranges need more, or the disk has no room.
    """

    def candidates() -> Iterator[Plan[FitSettings]]:
        disk = temporary_bytes(shape)
        ranges = list(halved(matrix.RANGE_NNZ, matrix.MIN_RANGE_NNZ))
        pairs = [(budget.cpus, range_nnz) for range_nnz in ranges]
        pairs += [(threads, ranges[-1]) for threads in range(budget.cpus - 1, 0, -1)]
        for pair in pairs:
            settings = FitSettings(*pair)
            pages = page_bytes(_training(shape)) if shape.factors else 0
            yield Plan(stage_bytes(shape, settings), disk, settings, page_bytes=pages)

    return fit(candidates(), budget, work="the evaluation", elsewhere="name another folder (--scratch)")

"""Projected bytes of an evaluation's stages: split, fit, rank, measure. Pure: integers in, integers out.

Serves tuning too, whose trials are evaluations of one model each. What is projected is anonymous memory, what is
reserved included; the parts of the split, weights, factors and similarities are maps of files (`plan_training`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.sizes import MIB, format_size, limit_for
from lastfm_dask.recommender.plan import BLOCK_ARTISTS
from lastfm_dask.training.plan import (
    MIN_RANGE_NNZ,
    RANGE_NNZ,
    TrainingShape,
    disk_bytes,
    fit_bytes,
    prepare_bytes,
)

if TYPE_CHECKING:
    from lastfm_dask.training.plan import Room

BATCH_USERS = 256
"""Listeners that are ranked at once, on each thread."""
PRODUCT_NNZ = 1 << 20
"""Similarities that a product of item neighbours may hold, on each thread, unless one artist has more."""
N_NEIGHBOURS = 200
"""Others that item neighbours keep of each artist."""
SPLIT_BLOCK_NNZ = 1 << 18
"""Interactions that are given roles at once, unless one listener has more."""

_SMALL_BYTES = 8 * MIB
_SPLIT_VALUE_BYTES = 64
_THREAD_BYTES = 8 * MIB
"""What BLAS touches of its buffers and keeps, and a thread's stack and arena."""
_PRODUCT_VALUE_BYTES = 32
_SCORE_BYTES = 20
"""By artist and listener: the score, its negative, and places."""
_N_METRICS = 7


@dataclass(frozen=True, slots=True)
class EvaluationShape:
    """The numbers that decide what an evaluation needs."""

    n_users: int
    n_artists: int
    nnz: int
    longest: int
    """Artists of the listener who has most."""
    n_evaluated: int
    n_held_out: int
    """Interactions kept back, at most."""
    k: int
    """The longest list that is judged."""
    n_ks: int
    factors: int
    """Of the largest model; 0 where none has factors."""
    neighbours: bool
    threads: int
    n_splits: int = 1
    """Splits whose files stand at the same time."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What an evaluation will hold, by stage, and how it keeps to it."""

    threads: int
    range_nnz: int
    """Stored values that a transpose holds at once."""
    split_bytes: int
    fit_bytes: int
    rank_bytes: int
    measure_bytes: int
    disk_bytes: int
    """What the temporary files take at most."""
    allowed_bytes: int
    free_bytes: int

    def lines(self) -> list[str]:
        """Return the plan as a person reads it, before any work."""
        stages = {
            "split": self.split_bytes,
            "fit": self.fit_bytes,
            "rank": self.rank_bytes,
            "measure": self.measure_bytes,
        }
        allowed = format_size(self.allowed_bytes)
        return [
            f"plan: stage {stage} projected {format_size(projected)}, allowed {allowed}"
            for stage, projected in stages.items()
        ] + [
            f"plan: temporary files projected {format_size(self.disk_bytes)}, free {format_size(self.free_bytes)}"
        ]


def stage_bytes(shape: EvaluationShape, range_nnz: int, held_bytes: int) -> dict[str, int]:
    """Return each stage's projected bytes.

    Parameters
    ----------
    shape : EvaluationShape
    range_nnz : int
        Stored values that a transpose holds at once.
    held_bytes : int
        What is held before: reserved memory, and files that live in memory.
    """
    base = held_bytes + _SMALL_BYTES + shape.threads * _THREAD_BYTES
    block = max(min(SPLIT_BLOCK_NNZ, shape.nnz), shape.longest)
    return {
        # Two arrays of a byte an interaction: the roles, and where they equal one; lengths and choices by user.
        "split": base + 2 * shape.nnz + 56 * shape.n_users + _SPLIT_VALUE_BYTES * block,
        "fit": _fit_bytes(shape, range_nnz, base),
        "rank": base
        + shape.threads * _rank_thread_bytes(shape)
        + 16 * shape.n_artists
        + 4 * shape.n_evaluated * shape.k,
        "measure": base + _measure_bytes(shape),
    }


def _training(shape: EvaluationShape) -> TrainingShape:
    return TrainingShape(shape.n_users, shape.n_artists, shape.nnz, max(shape.factors, 1), shape.threads)


def _fit_bytes(shape: EvaluationShape, range_nnz: int, base: int) -> int:
    training = _training(shape)
    needs = [base + 40 * shape.n_artists]
    if shape.factors:
        needs += [prepare_bytes(training, range_nnz, base), fit_bytes(training, base)]
    if shape.neighbours:
        by_artist = 8 * 8 * shape.n_artists
        product = _PRODUCT_VALUE_BYTES * (min(PRODUCT_NNZ, shape.n_artists**2) + shape.n_artists)
        needs += [
            prepare_bytes(training, range_nnz, base) + by_artist,
            base + by_artist + shape.threads * product,
        ]
    return max(needs)


def _rank_thread_bytes(shape: EvaluationShape) -> int:
    """Return what a batch holds: its history, what is scored at once (a block of artists, or a product), lists."""
    history = 24 * min(BATCH_USERS * shape.longest, shape.nnz)
    scores = _SCORE_BYTES * BATCH_USERS * min(BLOCK_ARTISTS, shape.n_artists) if shape.factors else 0
    scores += 4 * shape.factors * (min(BLOCK_ARTISTS, shape.n_artists) + 4 * BATCH_USERS)
    product = 0
    if shape.neighbours:
        product = _PRODUCT_VALUE_BYTES * (min(PRODUCT_NNZ, BATCH_USERS * shape.n_artists) + shape.n_artists)
    lists = 64 * BATCH_USERS * (shape.k + shape.longest)
    equations = 8 * shape.factors * (4 * shape.factors + 4 * shape.longest)
    return max(scores, product) + history + lists + equations


def _measure_bytes(shape: EvaluationShape) -> int:
    held_out = 8 * min(shape.n_held_out, shape.n_evaluated * shape.longest)
    by_list = 4 * shape.n_evaluated * shape.k * 2 + 40 * min(shape.n_evaluated, 4096) * (
        shape.k + shape.longest
    )
    by_user = shape.n_evaluated * (64 + 8 * 2 * _N_METRICS * (shape.n_ks + 1) + 32 * shape.k)
    return held_out + by_list + by_user + 4 * shape.n_artists


def temporary_bytes(shape: EvaluationShape) -> int:
    """Return the bytes of the files: the split's parts, and the largest model's."""
    parts = shape.n_splits * (8 * shape.nnz + 3 * 8 * (shape.n_users + 1))
    models = [0]
    if shape.factors:
        models.append(disk_bytes(_training(shape)))
    if shape.neighbours:
        models.append(12 * shape.nnz + (16 + 8 * N_NEIGHBOURS) * shape.n_artists)
    return parts + max(models) + MIB


def plan_evaluation(shape: EvaluationShape, room: Room) -> EvaluationPlan:
    """Return a plan that keeps to what is allowed: ranges get shorter first, then threads get fewer.

    Raises
    ------
    BudgetError
        Where even one thread and the shortest ranges need more, or the disk has no room: with the stage, what was
        projected, what is allowed, and the smallest limit that would do.
    """
    disk = temporary_bytes(shape)
    if disk > room.free_bytes:
        msg = (
            f"the evaluation's temporary files need {format_size(disk)} ({disk} bytes), {format_size(room.free_bytes)}"
            " are free there: make room, or name another folder (--scratch)"
        )
        raise BudgetError(
            msg, stage="disk", projected_bytes=disk, allowed_bytes=room.free_bytes, smallest_bytes=disk
        )
    held = room.reserved_bytes + (disk if room.disk_is_memory else 0)
    range_nnz = RANGE_NNZ
    while True:
        stages = stage_bytes(shape, range_nnz, held)
        worst = max(stages, key=stages.__getitem__)
        needed = stages[worst]
        if needed <= room.allowed_bytes:
            break
        if range_nnz > MIN_RANGE_NNZ:
            range_nnz //= 2
        elif shape.threads > 1:
            shape = replace(shape, threads=shape.threads - 1)
        else:
            msg = (
                f"stage {worst} of the evaluation needs {format_size(needed)} ({needed} bytes), allowed are"
                f" {format_size(room.allowed_bytes)}: give it {limit_for(needed)} bytes or more (--memory, the pod's limit)"
            )
            raise BudgetError(
                msg,
                stage=worst,
                projected_bytes=needed,
                allowed_bytes=room.allowed_bytes,
                smallest_bytes=needed,
            )
    return EvaluationPlan(
        threads=shape.threads,
        range_nnz=range_nnz,
        split_bytes=stages["split"],
        fit_bytes=stages["fit"],
        rank_bytes=stages["rank"],
        measure_bytes=stages["measure"],
        disk_bytes=disk,
        allowed_bytes=room.allowed_bytes,
        free_bytes=room.free_bytes,
    )

"""Projected bytes of training's stages, prepare and fit, and of the disk. Pure: integers in, integers out.

A projection is what a stage holds at most in anonymous memory, what is reserved included. The matrix, its
transpose and both factor arrays are maps of files: the kernel takes their pages back, so they do not count; on a
file system that lives in memory they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.sizes import MIB, format_size, limit_for

BLOCK_NNZ = 1 << 20
"""Stored values that weighting and the transpose read at once."""
RANGE_NNZ = 1 << 22
"""Stored values that the transpose holds at once where memory allows it."""
MIN_RANGE_NNZ = 1 << 18
FACTOR_BLOCK_VALUES = 1 << 20
"""Factors that are made or checked at once."""

_WEIGHTED_VALUE_BYTES = 24
"""By value of a block: rows, weights, and what BM25 gathers."""
_SEARCHED_VALUE_BYTES = 12
"""By value of a block that is searched for a range's columns: two masks, and places."""
_RANGE_VALUE_BYTES = 18
"""By value of a range: column and value, as gathered and as sorted."""
_BLAS_THREAD_BYTES = 2 * MIB
"""What BLAS touches of its buffer, and a thread's stack and arena."""
_SMALL_BYTES = 4 * MIB
"""Python's objects and buffers, whatever the size of the data."""


@dataclass(frozen=True, slots=True)
class TrainingShape:
    """The numbers that decide what training needs."""

    n_users: int
    n_artists: int
    nnz: int
    factors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Room:
    """What training may use, and what is used before it begins; bytes."""

    reserved_bytes: int
    allowed_bytes: int
    free_bytes: int
    """Free on the disk that the model goes to."""
    copied_bytes: int = 0
    """Of the dataset's files, where they can't be linked into the model."""
    disk_is_memory: bool = False


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What training will hold, by stage, and how it keeps to it."""

    range_nnz: int
    """Stored values that the transpose holds at once."""
    prepare_bytes: int
    fit_bytes: int
    disk_bytes: int
    """What the work directory and the model take at most."""
    allowed_bytes: int
    free_bytes: int

    def lines(self) -> list[str]:
        """Return the plan as a person reads it, before any work."""
        return [
            f"plan: stage {stage} projected {format_size(projected)}, allowed {format_size(self.allowed_bytes)}"
            for stage, projected in (("prepare", self.prepare_bytes), ("fit", self.fit_bytes))
        ] + [f"plan: disk projected {format_size(self.disk_bytes)}, free {format_size(self.free_bytes)}"]


def prepare_bytes(shape: TrainingShape, range_nnz: int, reserved_bytes: int) -> int:
    """Return the projected bytes of `prepare`: weights block by block, the transpose range by range."""
    block, held = min(BLOCK_NNZ, shape.nnz), min(range_nnz, shape.nnz)
    weighting = _WEIGHTED_VALUE_BYTES * block
    transpose = _SEARCHED_VALUE_BYTES * block + _RANGE_VALUE_BYTES * held
    by_row_and_column = 8 * shape.n_users + 24 * shape.n_artists
    return reserved_bytes + _SMALL_BYTES + max(weighting, transpose) + by_row_and_column


def fit_bytes(shape: TrainingShape, reserved_bytes: int) -> int:
    """Return the projected bytes of `fit`: Gram matrices and each thread's vectors; all else is mapped."""
    gram = 4 * 8 * shape.factors * shape.factors
    block = 16 * min(FACTOR_BLOCK_VALUES, shape.factors * max(shape.n_users, shape.n_artists))
    by_thread = _BLAS_THREAD_BYTES + 16 * shape.factors
    return reserved_bytes + _SMALL_BYTES + gram + block + 8 * shape.n_artists + shape.threads * by_thread


def disk_bytes(shape: TrainingShape) -> int:
    """Return the bytes on disk: factors, weights and the transpose (the matrix itself is linked)."""
    factors = 4 * shape.factors * (shape.n_users + shape.n_artists) + 8 * shape.factors * shape.factors
    return factors + 12 * shape.nnz + 12 * shape.n_artists + MIB


def plan_training(shape: TrainingShape, room: Room) -> TrainingPlan:
    """Return a plan that keeps to what is allowed; the transpose gives up pace first.

    Raises
    ------
    BudgetError
        Where even the smallest range, or the fit, or the disk, needs more: with the stage, what was projected,
        what is allowed, and the smallest limit that would do.
    """
    disk = disk_bytes(shape) + room.copied_bytes
    if disk > room.free_bytes:
        msg = (
            f"training needs {format_size(disk)} ({disk} bytes) on disk, {format_size(room.free_bytes)} are free"
            " where the model goes: make room there, or choose another folder (-o)"
        )
        raise BudgetError(
            msg, stage="disk", projected_bytes=disk, allowed_bytes=room.free_bytes, smallest_bytes=disk
        )
    held = room.reserved_bytes + (disk if room.disk_is_memory else 0)
    range_nnz = RANGE_NNZ
    while range_nnz > MIN_RANGE_NNZ and prepare_bytes(shape, range_nnz, held) > room.allowed_bytes:
        range_nnz //= 2
    stages = {"prepare": prepare_bytes(shape, range_nnz, held), "fit": fit_bytes(shape, held)}
    worst = max(stages, key=stages.__getitem__)
    smallest = stages[worst]
    if smallest > room.allowed_bytes:
        msg = (
            f"stage {worst} of training needs {format_size(smallest)} ({smallest} bytes), allowed are"
            f" {format_size(room.allowed_bytes)}: give it {limit_for(smallest)} bytes or more (--memory, the pod's limit)"
        )
        raise BudgetError(
            msg,
            stage=worst,
            projected_bytes=smallest,
            allowed_bytes=room.allowed_bytes,
            smallest_bytes=smallest,
        )
    return TrainingPlan(
        range_nnz, stages["prepare"], stages["fit"], disk, room.allowed_bytes, room.free_bytes
    )

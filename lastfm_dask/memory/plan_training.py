"""Projected bytes of training's stages, prepare and fit. Pure: integers in, integers out.

A projection is what a stage holds at most in anonymous memory, what is reserved included. The matrix, its
transpose and both factor arrays are maps of files: the kernel takes their pages back, so they do not count, but
on a file system that lives in memory they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.sizes import MIB, format_size

BLOCK_NNZ = 1 << 20
RANGE_NNZ = 1 << 22
"""Stored values that the transpose holds at once where memory allows it."""
MIN_RANGE_NNZ = 1 << 18

_BLOCK_VALUE_BYTES = 24
_RANGE_VALUE_BYTES = 18
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
class TrainingPlan:
    """What training will hold, by stage, and how it keeps to it."""

    range_nnz: int
    """Stored values that the transpose holds at once."""
    prepare_bytes: int
    fit_bytes: int
    disk_bytes: int
    """What the work directory and the model take at most."""


def prepare_bytes(shape: TrainingShape, range_nnz: int, reserved_bytes: int) -> int:
    """Return the projected bytes of `prepare`: weights block by block, the transpose range by range."""
    block = _BLOCK_VALUE_BYTES * min(BLOCK_NNZ, shape.nnz)
    held = _RANGE_VALUE_BYTES * min(range_nnz, shape.nnz)
    by_row_and_column = 8 * shape.n_users + 24 * shape.n_artists
    return reserved_bytes + _SMALL_BYTES + block + held + by_row_and_column


def fit_bytes(shape: TrainingShape, reserved_bytes: int) -> int:
    """Return the projected bytes of `fit`: the Gram matrix and each thread's vectors; all else is mapped."""
    gram = 4 * 4 * shape.factors * shape.factors
    check = 8 * BLOCK_NNZ
    by_thread = _BLAS_THREAD_BYTES + 16 * shape.factors
    return reserved_bytes + _SMALL_BYTES + gram + check + shape.threads * by_thread


def disk_bytes(shape: TrainingShape) -> int:
    """Return the bytes on disk: factors, weights and the transpose (the matrix itself is linked)."""
    factors = 4 * shape.factors * (shape.n_users + shape.n_artists)
    return factors + 12 * shape.nnz + 8 * shape.n_artists


def plan_training(shape: TrainingShape, *, reserved_bytes: int, allowed_bytes: int) -> TrainingPlan:
    """Return a plan that keeps to what is allowed; the transpose gives up pace first.

    Raises
    ------
    BudgetError
        Where even the smallest range, or the fit, needs more: with the stage, what was projected, what is
        allowed, and the smallest limit that would do.
    """
    range_nnz = RANGE_NNZ
    while range_nnz > MIN_RANGE_NNZ and prepare_bytes(shape, range_nnz, reserved_bytes) > allowed_bytes:
        range_nnz //= 2
    stages = {
        "prepare": prepare_bytes(shape, range_nnz, reserved_bytes),
        "fit": fit_bytes(shape, reserved_bytes),
    }
    smallest = max(stages.values())
    worst = max(stages, key=stages.__getitem__)
    if smallest > allowed_bytes:
        msg = (
            f"stage {worst} of training needs {format_size(smallest)} ({smallest} bytes), allowed are"
            f" {format_size(allowed_bytes)}: give it {smallest} bytes or more (--memory, the pod's limit)"
        )
        raise BudgetError(
            msg, stage=worst, projected_bytes=smallest, allowed_bytes=allowed_bytes, smallest_bytes=smallest
        )
    return TrainingPlan(range_nnz, stages["prepare"], stages["fit"], disk_bytes(shape))

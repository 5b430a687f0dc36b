"""Projected bytes of training's stages, prepare and fit, and of the disk. Pure: integers in, integers out.

A projection is what a stage's data takes at most in anonymous memory; `memory.budget` adds what is reserved. The
matrix, its transpose and both factor arrays are maps of files: the kernel takes their pages back, so they do not
count; on a file system that lives in memory they do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import arrays, matrix
from lastfm_dask.memory.budget import Budget, Plan, fit
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.training import check, ease, neighbours, sampled, second
from lastfm_dask.training.objective import CHUNK_FACTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

_WEIGHTED_VALUE_BYTES = 24
"""By value of a block: rows, weights, and what BM25 gathers."""
_SEARCHED_VALUE_BYTES = 12
"""By value of a block that is searched for a range's columns: two masks, and places."""
_RANGE_VALUE_BYTES = 18
"""By value of a range: column and value, as gathered and as sorted."""
_SAMPLED_VALUE_BYTES = 96
"""By value of the check's sample: the sample, its parts, and what sorts or weighs them."""
_KEPT_VALUE_BYTES = 16
"""By value of a sample of the choice: what is kept of it, and what is held out, until the choice is made."""
_SCORED_BYTES = 24
"""By artist of the check's sample: the order of one list."""
_OBJECTIVE_BYTES = 40
"""By factor of a chunk of the objective: two vectors' blocks, in float64 too, and products."""
_CHOICE_SCORE_BYTES = 64
"""By score of a batch of the choice: both parts, their blend, products before, and one list's order."""
_PRODUCT_VALUE_BYTES = 32
_EASE_VALUE_BYTES = 24
"""By weight of a block: a sparse product with its indices, as a dense block and turned, and its order by size."""
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
    copied_bytes: int = 0
    """Of the dataset's files, where they can't be linked into the model."""
    longest: int = 0
    """Artists of the user who has most."""
    most_listeners: int = 0
    """Users of the artist who has most."""
    names_bytes: int = 0
    """To match the names of a model that training starts from."""
    model: str = "als"
    """As the settings name it; whatever is not `als` may have item weights."""


def longest_list(statistics: dict[str, Any]) -> int:
    """Return how many rows the user has who has most, of a dataset's statistics; 0 where they do not say."""
    return int(statistics.get("artists_per_user", {}).get("max") or 0)


def most_listeners(statistics: dict[str, Any]) -> int:
    """Return how many rows the artist has who has most, of a dataset's statistics; 0 where they do not say."""
    return max((int(one["listeners"]) for one in statistics.get("top_artists", ())), default=0)


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How many threads train, and how large the pieces are that they work on."""

    threads: int
    range_nnz: int
    """Stored values that the transpose holds at once."""
    weights: bool = True
    """Whether item weights may be added; where the settings leave it open and memory is short they are not."""


def prepare_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return the projected bytes of `prepare`: the check, then weights by block and the transpose by range."""
    weighting = _WEIGHTED_VALUE_BYTES * max(min(arrays.BLOCK_NNZ, shape.nnz), shape.longest)
    transpose = _gathered_bytes(shape, settings)
    by_row_and_column = 8 * shape.n_users + 24 * shape.n_artists
    work = max(_check_bytes(shape, settings), _choice_bytes(shape, settings), weighting, transpose)
    return _SMALL_BYTES + work + by_row_and_column


def _sampled(shape: TrainingShape) -> int:
    return min(check.SAMPLE_VALUES + check.LONGEST, shape.nnz)


def _check_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return what the check holds at most: its sample, and either a small fit or the scores of a few users."""
    values = _sampled(shape)
    n_users, n_artists = min(shape.n_users, values), min(shape.n_artists, values)
    small = TrainingShape(n_users, n_artists, values, shape.factors)
    scores = n_artists * (8 * check.batch_users(n_artists) + _SCORED_BYTES)
    return _SAMPLED_VALUE_BYTES * values + max(scores, fit_bytes(small, settings))


def _choice_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return what choosing what is added holds at most: samples, a reduced fit, and then their weights and scores."""
    if shape.model == "als" or not settings.weights:
        return 0
    values = _drawn(shape)
    n_artists = min(shape.n_artists, values)
    small = TrainingShape(min(shape.n_users, values), n_artists, values, shape.factors)
    batch = (settings.threads + 1) * check.batch_users(n_artists)
    scores = _CHOICE_SCORE_BYTES * batch * n_artists + 16 * batch * min(shape.n_users, values)
    if ease.has_room((shape.n_users, shape.n_artists), shape.nnz):
        scores = max(scores, _EASE_VALUE_BYTES * ease.BLOCK_VALUES)
        scores = max(scores, 8 * sampled.BLOCK_ARTISTS * min(shape.n_users, values) + 16 * n_artists)
    kept = _KEPT_VALUE_BYTES * values * second.most_samples(shape.n_users)
    return kept + _SAMPLED_VALUE_BYTES * values + max(fit_bytes(small, settings), scores) + 32 * n_artists


def _drawn(shape: TrainingShape) -> int:
    """Return the interactions of the choice's sample, at most."""
    return min(second.SIZE.values + check.LONGEST, shape.nnz)


def neighbours_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return what cosine neighbours hold at most: columns' sums, a transpose, then a product on each thread."""
    by_artist = 8 * 8 * shape.n_artists + 16 * shape.n_users
    product = _PRODUCT_VALUE_BYTES * (min(neighbours.PRODUCT_NNZ, shape.n_artists**2) + shape.n_artists)
    return by_artist + max(transpose_bytes(shape, settings), settings.threads * product)


def ease_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return what EASE holds at most: a transpose, then a block of weights on each thread; the inverse is a map."""
    block = _EASE_VALUE_BYTES * max(ease.BLOCK_VALUES, shape.n_users, shape.n_artists)
    kept = replace(shape, nnz=max(shape.nnz, ease.weights_of_each(shape.n_artists) * shape.n_artists))
    return 16 * shape.n_artists + max(transpose_bytes(kept, settings), settings.threads * block)


def weights_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return the projected bytes of `weights`, whichever kind is chosen."""
    needs = [neighbours_bytes(shape, settings)]
    if ease.has_room((shape.n_users, shape.n_artists), shape.nnz):
        needs.append(ease_bytes(shape, settings))
    return _SMALL_BYTES + settings.threads * _BLAS_THREAD_BYTES + max(needs)


def transpose_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return what a transpose made on disk holds at most: what is gathered, and row pointers."""
    return _gathered_bytes(shape, settings) + 8 * shape.n_users + 24 * shape.n_artists


def _gathered_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return what a range of the transpose takes while it is gathered; the most heard artist's values are one piece."""
    gathered = max(min(settings.range_nnz, shape.nnz), shape.most_listeners)
    return _SEARCHED_VALUE_BYTES * min(arrays.BLOCK_NNZ, shape.nnz) + _RANGE_VALUE_BYTES * gathered


def weights_disk_bytes(shape: TrainingShape) -> int:
    """Return the bytes of the files that item weights are computed in, and of those that are kept."""
    # Twice where long lists are cut.
    needs = [20 * shape.nnz + (16 + 16 * neighbours.N_NEIGHBOURS) * shape.n_artists]
    if ease.has_room((shape.n_users, shape.n_artists), shape.nnz):
        side = min(shape.n_users, shape.n_artists)
        needs.append(
            16 * shape.nnz + 4 * side**2 + 24 * (ease.weights_of_each(shape.n_artists) + 1) * shape.n_artists
        )
    return max(needs)


def fit_bytes(shape: TrainingShape, settings: FitSettings) -> int:
    """Return the projected bytes of `fit`: Gram matrices and each thread's vectors; all else is mapped."""
    gram = 4 * 8 * shape.factors * shape.factors
    block = 16 * min(arrays.BLOCK_VALUES, shape.factors * max(shape.n_users, shape.n_artists))
    by_thread = _BLAS_THREAD_BYTES + 16 * shape.factors
    block = max(block, _OBJECTIVE_BYTES * CHUNK_FACTORS, shape.names_bytes)
    # The choice before it has used SciPy's BLAS, which keeps buffers of its own.
    chosen = 0 if shape.model == "als" else 2 * _BLAS_THREAD_BYTES
    return _SMALL_BYTES + chosen + gram + block + 8 * shape.n_artists + settings.threads * by_thread


def disk_bytes(shape: TrainingShape) -> int:
    """Return the bytes on disk: factors twice (the checkpoint), weights, the transpose, the check's model."""
    factors = 8 * shape.factors * (shape.n_users + shape.n_artists) + 8 * shape.factors * shape.factors
    values = _sampled(shape)
    checked = 4 * shape.factors * (min(shape.n_users, values) + min(shape.n_artists, values)) + 12 * values
    weights = 0 if shape.model == "als" else max(weights_disk_bytes(shape), _choice_disk_bytes(shape))
    return factors + checked + weights + 12 * shape.nnz + 12 * shape.n_artists + MIB + shape.copied_bytes


def _choice_disk_bytes(shape: TrainingShape) -> int:
    """Return the bytes of the choice's files: reduced factors of each sample, confidences, an inverse."""
    values = _drawn(shape)
    n_users, n_artists = min(shape.n_users, values), min(shape.n_artists, values)
    inverse = 4 * min(shape.n_users, shape.n_artists, second.MAX_SIDE) ** 2
    by_sample = 4 * shape.factors * (n_users + n_artists) + 12 * values
    return second.most_samples(shape.n_users) * by_sample + inverse


def page_bytes(shape: TrainingShape) -> int:
    """Return the room for pages of files that `fit` needs to keep its pace.

    Each user's vector is solved from vectors of artists that lie anywhere in their file, and the other way round: where
    few of the larger file's pages stay in memory, nearly every vector comes from the disk.
    """
    return 4 * shape.factors * max(shape.n_users, shape.n_artists) // 2


def halved(range_nnz: int, least: int) -> Iterator[int]:
    """Return a range, then half of it and so on, down to the least."""
    while range_nnz > least:
        yield range_nnz
        range_nnz //= 2
    yield range_nnz


def plan_training(shape: TrainingShape, budget: Budget) -> Plan[FitSettings]:
    """Return a plan that keeps to the budget: smaller ranges first, then no item weights where they are left open.

    Raises
    ------
    BudgetError
        If even the smallest range, or the fit, or the disk, needs more.
    """

    def candidates() -> Iterator[Plan[FitSettings]]:
        ranges = list(halved(matrix.RANGE_NNZ, matrix.MIN_RANGE_NNZ))
        pairs = [FitSettings(budget.cpus, range_nnz) for range_nnz in ranges]
        if shape.model != "als":
            pairs += [FitSettings(threads, ranges[-1]) for threads in range(budget.cpus - 1, 0, -1)]
        if shape.model == "auto":
            pairs += [FitSettings(budget.cpus, range_nnz, weights=False) for range_nnz in ranges]
        for settings in pairs:
            stages = {"prepare": prepare_bytes(shape, settings), "fit": fit_bytes(shape, settings)}
            if shape.model != "als" and settings.weights:
                stages["weights"] = weights_bytes(shape, settings)
            yield Plan(stages, disk_bytes(shape), settings, page_bytes=page_bytes(shape))

    return fit(candidates(), budget, work="training", elsewhere="choose another folder (-o)")

"""Compares training with popularity on a held-out sample: a reduced model, before the whole one.

A sample of users is trained apart, a fifth of each one's artists held out, and ranked beside popularity. It is a
model of fewer users, so its figures are lower than the whole model's; what they tell is whether training works on
this data at all. Where the sample is a quarter of the data
or more and popularity is better, regularization is raised.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl

from lastfm_dask.dataset.arrays import create_array
from lastfm_dask.dataset.matrix import csr_of
from lastfm_dask.training.strength import Lengths, four_digits, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.training.settings import TrainSettings

    Factors = npt.NDArray[np.float32]
    Ranked = npt.NDArray[np.int64]

SAMPLE_VALUES = 1 << 15
"""The most interactions of the sample, not counting its last user's."""
LONGEST = 1 << 13
"""Users with more artists are left out, so that the sample is bounded."""
RANKED_USERS = 1 << 9
"""Users of the sample that are ranked."""
MIN_USERS = 20
"""With fewer users the comparison means nothing."""
ITERATIONS = 4
K = 10
"""Length of the lists."""
BATCH_SCORES = 1 << 18
MAX_BATCH_USERS = 1 << 6
"""Scores that are held at once, and for how many users at most; a user's are never cut."""
STEPS = (1.0, 2.0, 4.0)
"""Factors to multiply regularization by, in this order, until popularity is not better."""
ENOUGH = 0.25
"""A sample with at least this share of all interactions decides; a smaller one only reports."""
_HELD_OUT = 0.2
_STRIDE = 16


@dataclass(frozen=True, slots=True)
class Check:
    """The result on the sample."""

    n_users: int
    """Users that were ranked."""
    share: float
    """Of the data's interactions, in the sample."""
    ndcg: float
    """NDCG@10 of the reduced model."""
    popularity_ndcg: float
    raised: float
    """The factor by which regularization was raised because popularity was better; 1: not raised."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def settle_and_check(
    plays: csr_matrix, settings: TrainSettings, folder: Path, *, threads: int
) -> tuple[TrainSettings, Check | None]:
    """Settle alpha and regularization from the data, and compare the result with popularity on a sample.

    Parameters
    ----------
    plays : csr_matrix, shape (n_users, n_artists), float32
        All plays.
    settings : TrainSettings
        What is asked for.
    folder : Path
        Made for the reduced model, and removed with it.
    threads : int
        The result does not depend on it.

    Returns
    -------
    settings : TrainSettings
        Settled; regularization raised where the sample is large enough and says so.
    check : Check or None
        None if there are too few users to say anything.
    """
    settled = settle(plays, settings)
    sample = Sample.of(plays)
    if sample is None:
        return settled, None
    popularity, noise = sample.ndcg(sample.by_popularity()), Lengths.of(plays).noise
    may_raise = "regularization" in settled.auto and sample.share >= ENOUGH
    best: tuple[float, float] = (-1.0, 1.0)
    for step in STEPS if may_raise else STEPS[:1]:
        tried = replace(settled, regularization=four_digits(settled.regularization * step))
        found = sample.ndcg(sample.by_reduced_model(tried, noise, folder, threads))
        best = max(best, (found, step), key=lambda one: one[0])
        if found >= popularity:
            break
    figure, step = best
    check = Check(len(sample.ranked), sample.share, figure, popularity, step)
    return replace(settled, regularization=four_digits(settled.regularization * step)), check


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How large a sample is, at most; with fewer users than `least` there is none."""

    values: int = SAMPLE_VALUES
    users: int = SAMPLE_VALUES
    ranked: int = RANKED_USERS
    least: int = MIN_USERS


@dataclass(frozen=True, slots=True)
class Sample:
    """Some users, their artists renumbered, and a fifth of each one's artists held out."""

    train: csr_matrix
    held_out: csr_matrix
    ranked: Ranked
    """Rows that are ranked."""
    share: float

    @classmethod
    def of(cls, plays: csr_matrix, size: SampleSize | None = None, seed: int = 0) -> Sample | None:
        """Draw users until the sample is full; None if too few can be ranked."""
        size, rng = size or SampleSize(), np.random.default_rng(seed)
        order = rng.choice(plays.shape[0], min(plays.shape[0], size.values), replace=False)
        lengths = plays.indptr[order + 1] - plays.indptr[order]
        order, lengths = order[lengths <= LONGEST], lengths[lengths <= LONGEST]
        ends = np.cumsum(lengths, dtype=np.int64)
        users = np.sort(order[: min(int(np.searchsorted(ends, size.values)) + 1, size.users)])
        if len(users) < size.least:
            return None
        part = plays[users]
        columns, indices = np.unique(part.indices, return_inverse=True)
        indices = indices.ravel().astype(part.indptr.dtype)
        whole = csr_of((len(users), len(columns)), part.indptr, indices, part.data)
        out = rng.random(whole.nnz) < _HELD_OUT
        train, held_out = _part(whole, ~out), _part(whole, out)
        usable = np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(held_out.indptr) > 0))
        if len(usable) < size.least:
            return None
        ranked = np.sort(rng.permutation(usable)[: size.ranked])
        return cls(train, held_out, ranked, whole.nnz / plays.nnz)

    def by_popularity(self) -> Ranked:
        """Return the lists of the artists that most users of the sample have."""
        counts = np.bincount(self.train.indices, minlength=self.train.shape[1])
        return self.lists(lambda rows: np.tile(counts.astype(np.float32), (len(rows), 1)))

    def by_reduced_model(self, settings: TrainSettings, noise: float, folder: Path, threads: int) -> Ranked:
        """Return the lists of a model of the sample, as strong for its size as the settings are for all data."""
        with self.reduced(settings, noise, folder, threads) as (users, items):
            return self.lists(lambda rows: np.asarray(users[rows] @ items.T))

    @contextmanager
    def reduced(
        self, settings: TrainSettings, noise: float, folder: Path, threads: int
    ) -> Iterator[tuple[Factors, Factors]]:
        """Give the factors of a model of the sample, and one BLAS thread, until the block ends; its files go then."""
        from lastfm_dask.training.fit import fit
        from lastfm_dask.training.prepare import prepare

        share = Lengths.of(self.train).noise / noise
        reduced = replace(
            settings, regularization=settings.regularization * share, iterations=ITERATIONS, auto=()
        )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        prepared = prepare(self.train, reduced, folder)
        n_users, n_artists = self.train.shape
        users = create_array(folder / "users.npy", (n_users, settings.factors), np.float32)
        items = create_array(folder / "items.npy", (n_artists, settings.factors), np.float32)
        fit(prepared.user_items, reduced, users, items, threads=threads)
        with threadpoolctl.threadpool_limits(1, "blas"):
            yield users, items
        shutil.rmtree(folder, ignore_errors=True)

    def ndcg(self, lists: Ranked) -> float:
        """Return the mean NDCG@10 of the ranked users' lists (Järvelin, Kekäläinen 2002; binary relevance)."""
        return float(self.ndcg_by_user(lists).mean())

    def ndcg_by_user(self, lists: Ranked) -> npt.NDArray[np.float64]:
        """Return the NDCG@10 of each ranked user's list, shape (n_ranked,)."""
        width, lengths = self.train.shape[1], np.diff(self.held_out.indptr)
        discounts = 1 / np.log2(np.arange(2, K + 2))
        ideal = np.concatenate([[0.0], np.cumsum(discounts)])
        wanted = np.repeat(np.arange(len(lengths)), lengths) * width + self.held_out.indices
        gains = np.isin(self.ranked[:, None] * width + lists, wanted) @ discounts[: lists.shape[1]]
        return np.asarray(gains / ideal[np.minimum(K, lengths[self.ranked])])

    def lists(self, scores_of: Callable[[Ranked], npt.NDArray[np.float32]]) -> Ranked:
        """Return the ten best columns for each ranked row, excluding the row's own; ties go to the smaller column."""
        return np.concatenate([self.best(rows, scores_of(rows)) for rows in self.batches()])

    def batches(self) -> Iterator[Ranked]:
        """Give the ranked rows, as many at once as `BATCH_SCORES` allows."""
        size = batch_users(self.train.shape[1])
        return (self.ranked[start : start + size] for start in range(0, len(self.ranked), size))

    def best(self, rows: Ranked, scores: npt.NDArray[np.float32]) -> Ranked:
        """Return the ten best columns for each of some rows, by scores of all columns, which are overwritten."""
        for row, own in zip(rows.tolist(), scores, strict=True):
            own[self.train.indices[slice(*self.train.indptr[row : row + 2])]] = -np.inf
        return _best(scores, min(K, self.train.shape[1]))


def batch_users(n_artists: int) -> int:
    """Return for how many users the scores of all artists are held at once."""
    return min(max(BATCH_SCORES // n_artists, 1), MAX_BATCH_USERS)


def _best(scores: npt.NDArray[np.float32], k: int) -> Ranked:
    """Return the `k` best columns of each row, the best first; ties go to the smaller.

    At least `k` of a row reach the k-th largest of a part of it, and few others do: only these are sorted.
    """
    part = scores[:, :: max(1, min(_STRIDE, scores.shape[1] // k))]
    bounds = np.partition(part, part.shape[1] - k, axis=1)[:, part.shape[1] - k]
    rows, columns = np.divmod(np.flatnonzero(scores >= bounds[:, None]), scores.shape[1])
    order = np.lexsort((-scores[rows, columns], rows))
    firsts = np.searchsorted(rows, np.arange(len(scores)))
    return np.asarray(columns[order[firsts[:, None] + np.arange(k)]])


def _part(whole: csr_matrix, kept: npt.NDArray[np.bool_]) -> csr_matrix:
    """Return the stored values that are kept, as a matrix of the same shape."""
    ends = np.concatenate([[0], np.cumsum(kept)])[whole.indptr].astype(whole.indptr.dtype)
    found: csr_matrix = csr_of(whole.shape, ends, whole.indices[kept], whole.data[kept])
    return found

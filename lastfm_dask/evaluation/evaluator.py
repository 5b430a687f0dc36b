"""Fit one model after the other on a split's training part, rank, and measure against what was held out.

Holds the settings, the run, and a model's figures; `evaluate` plans, splits, and puts the figures together.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.dataset.files import scratch_folder
from lastfm_dask.engine.threads import for_each
from lastfm_dask.errors import BadInputError
from lastfm_dask.evaluation.beyond import beyond_accuracy
from lastfm_dask.evaluation.metrics import measure, per_user
from lastfm_dask.evaluation.splits import Split, SplitSettings
from lastfm_dask.evaluation.trec import write_run
from lastfm_dask.memory.allocator import trim
from lastfm_dask.memory.budget import Progress
from lastfm_dask.training.fit_run import FitRun
from lastfm_dask.training.weighting import count_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.evaluation.candidates import Candidate, Ranker
    from lastfm_dask.evaluation.metrics import Interval
    from lastfm_dask.memory.budget import Plan
    from lastfm_dask.memory.meter import Meter
    from lastfm_dask.training.plan import FitSettings
    from lastfm_dask.training.settings import TrainSettings

    Users = npt.NDArray[np.integer]
    Items = npt.NDArray[np.int32]


BATCH_USERS = 256
"""Users that are ranked at once, on each thread."""
BATCH_VALUES = 1 << 18
"""Stored values of their histories, at most, unless one user has more."""


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is measured.

    Raises
    ------
    BadInputError
        If a figure is out of its range.
    """

    split: SplitSettings = field(default_factory=SplitSettings)
    ks: tuple[int, ...] = (10,)
    """Lengths of the lists."""
    n_users: int | None = 10_000
    """Users that are evaluated, drawn by the split's seed; None: all."""
    n_resamples: int = 1000
    """Of the bootstrap; 0: no intervals."""

    def __post_init__(self) -> None:
        problems = []
        if not self.ks or min(self.ks) < 1 or max(self.ks) > 1000:
            problems.append(f"k is {', '.join(map(str, self.ks)) or 'missing'}, allowed is 1 to 1000")
        if self.n_users is not None and self.n_users < 1:
            problems.append(f"{self.n_users} users are to be evaluated, allowed is 1 or more")
        if self.n_resamples < 0:
            problems.append(f"{self.n_resamples} resamples are asked for, allowed is 0 or more")
        if problems:
            msg = f"this can't be evaluated: {'; '.join(problems)}"
            raise BadInputError(msg)


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """How an evaluation goes, apart from what is measured."""

    memory_bytes: int | None = None
    """Use at most this much anonymous memory, and no more than the process is allowed."""
    threads: int | None = None
    """At most; the figures do not depend on it."""
    folder: Path | None = None
    """Where temporary files go; the system's place for them unless given."""
    progress: Progress = field(default_factory=Progress)
    """Receives the plan before any work, then each step."""
    trec_folder: Path | None = None
    """Where the held-out artists and each model's lists go as `trec_eval` reads them; it exists."""


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The figures of one model."""

    name: str
    metrics: dict[str, Interval]
    settings: TrainSettings | None
    fit_s: float
    rank_s: float
    beyond: dict[str, float] = field(default_factory=dict)
    """Gini index, mean popularity and novelty of the lists, as in `gini@10`."""
    per_user: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)
    """Each metric that users have, by user."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model's entry in what `evaluate --json` prints."""
        return {
            "name": self.name,
            **{name: interval.value for name, interval in self.metrics.items()},
            **self.beyond,
            "ci95": {name: [interval.low, interval.high] for name, interval in self.metrics.items()},
            "settings": self.settings.to_dict() if self.settings else None,
            "fit_s": round(self.fit_s, 3),
            "rank_s": round(self.rank_s, 3),
        }


@contextmanager
def temporary_folder(run: EvaluationRun) -> Iterator[Path]:
    """Give an empty folder that goes when the block ends; those of runs that were killed go too."""
    with scratch_folder(run.folder or Path(tempfile.gettempdir()), "evaluate") as folder:
        yield folder


def choose_users(split: Split, settings: EvaluationSettings) -> tuple[Users, int]:
    """Return the rows to evaluate, in order, and how many have held-out interactions but no history."""
    has_held_out = np.diff(split.held_out.indptr) > 0
    known = np.diff(split.history.indptr) > 0
    users = np.flatnonzero(has_held_out & known)
    if not len(users):
        msg = f"the split {split.settings.to_dict()} leaves no user to evaluate: hold out a smaller share, or take more data"
        raise BadInputError(msg)
    if settings.n_users is not None and settings.n_users < len(users):
        rng = np.random.default_rng(settings.split.seed)
        users = np.sort(rng.choice(users, settings.n_users, replace=False))
    return users, int(np.count_nonzero(has_held_out & ~known))


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Fits and measures one candidate after the other on one split."""

    split: Split
    users: Users
    settings: EvaluationSettings
    plan: Plan[FitSettings]
    run: EvaluationRun
    meter: Meter

    def report(self, candidate: Candidate) -> ModelReport:
        """Return a candidate's figures; its files go before the next one's come."""
        stages, threads = self.plan.stages, self.plan.settings.threads
        name = candidate.name
        with temporary_folder(self.run) as place:
            with self.meter.stage(f"fit {name}", projected_bytes=stages["fit"], threads=threads):
                started = time.perf_counter()
                progress = self._progress(f"fit {name}")
                ranker = candidate.fit(
                    self.split, FitRun(place, threads, self.plan.settings.range_nnz, progress)
                )
                fitted = time.perf_counter()
                trim()
            with self.meter.stage(f"rank {name}", projected_bytes=stages["rank"], threads=threads) as stage:
                stage.rows = len(self.users)
                progress = self._progress(f"rank {name}")
                items = rank_users(
                    ranker,
                    self.split.history,
                    self.users,
                    max(self.settings.ks),
                    threads=threads,
                    progress=progress,
                )
                ranked = time.perf_counter()
                trim()
        if self.run.trec_folder is not None:
            write_run(self.run.trec_folder, name, self.users, items)
        # One thread of BLAS: sums in another order would differ in the last digit.
        with (
            self.meter.stage(f"measure {name}", projected_bytes=stages["measure"], threads=1),
            threadpool_limits(1, "blas"),
        ):
            ks, held_out, train = self.settings.ks, self.split.held_out[self.users], self.split.train
            metrics = measure(
                items,
                held_out,
                ks,
                seed=self.settings.split.seed,
                n_resamples=self.settings.n_resamples,
            )
            listeners = count_columns(train.indices, train.shape[1])
            beyond = beyond_accuracy(items, listeners, train.shape[0], ks)
            by_user = per_user(items, held_out, ks)
            # Freed lists and scores that the allocator keeps would count against the next stage.
            trim()
        fit_s, rank_s = fitted - started, ranked - fitted
        return ModelReport(name, metrics, candidate.settings, fit_s, rank_s, beyond, by_user)

    def _progress(self, what: str) -> Callable[[int, int], None]:
        self.run.progress(what, 0, 1)
        return self.run.progress.of(what)


def rank_users(
    ranker: Ranker,
    history: csr_matrix,
    users: Users,
    k: int,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Items:
    """Return the lists of many users, int32, shape (len(users), k), -1 where a list ends early.

    Parameters
    ----------
    ranker : Ranker
    history : csr_matrix, shape (n_users, n_artists), float32
        Each user's known artists; never listed.
    users : int, shape (n,)
        Rows of `history`.
    k : int
        Artists a list.
    threads : int
        Batches that are ranked at once; the lists do not depend on it.
    progress : callable, optional
        Called with how many lists are done, and of how many.
    """
    items = np.full((len(users), k), -1, dtype=np.int32)
    n_done = 0

    def work(part: slice) -> None:
        batch = users[part]
        items[part] = ranker.rank(batch, history[batch], k)

    def on_done(part: slice) -> None:
        nonlocal n_done
        n_done += part.stop - part.start
        if progress:
            progress(n_done, len(users))

    with threadpool_limits(1, "blas"):
        for_each(work, _batches(history, users), threads, on_done)
    return items


def _batches(history: csr_matrix, users: Users) -> list[slice]:
    """Cut users into batches of at most `BATCH_USERS`, and of few stored values where lists are long."""
    lengths = history.indptr[users + 1].astype(np.int64) - history.indptr[users]
    ends = np.concatenate(([0], np.cumsum(lengths)))
    return [
        slice(start + first, start + last)
        for start in range(0, len(users), BATCH_USERS)
        for first, last in row_blocks(ends[start : start + BATCH_USERS + 1], BATCH_VALUES)
    ]

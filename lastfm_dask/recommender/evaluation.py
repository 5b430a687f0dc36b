"""How good recommendations are: models trained on a part of a dataset, judged on what was held out.

The split, the metrics and the baselines are in modules of their own; this one trains, ranks in bounded batches on
all threads, and puts the figures together. Batches have one size whatever the threads are, so that figures do
not depend on them.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lastfm_dask.errors import BadInputError
from lastfm_dask.recommender.splits import Split, SplitSettings, make_split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.recommender.metrics import Interval
    from lastfm_dask.recommender.settings import TrainSettings

    Users = npt.NDArray[np.integer]
    Items = npt.NDArray[np.int32]
    Progress = Callable[[str, int, int], None]
    """Told what is being done, how much of it is done, and of how much."""

BATCH_BYTES = 32 << 20
"""Bytes of scores that one batch of listeners has."""
MAX_BATCH = 256
NO_SCORE = -1e38
"""implicit pads a list that ends early with scores below this."""


class Ranker(Protocol):
    """What was fitted on a training part."""

    def rank(self, users: Users, history: csr_matrix, k: int) -> Items:
        """Return the best `k` columns for each of `users`, those in their row of `history` left out, -1 at an end."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to measure: its name, how it is fitted, and its settings where it has any."""

    name: str
    fit: Callable[[Split, Path, int, Callable[[int, int], None]], Ranker] = field(repr=False)
    """Takes the split, an empty folder, threads, and what to tell of its progress."""
    settings: TrainSettings | None = None


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is measured."""

    split: SplitSettings = field(default_factory=SplitSettings)
    ks: tuple[int, ...] = (10,)
    """Lengths of the lists that are judged."""
    n_users: int | None = 10_000
    """Listeners that are judged, drawn by the split's seed; None: all."""
    n_resamples: int = 1000
    """Of the bootstrap."""

    def __post_init__(self) -> None:
        if not self.ks or min(self.ks) < 1:
            msg = f"lists of {', '.join(map(str, self.ks)) or 'no'} artists can't be judged: k must be 1 or more"
            raise BadInputError(msg)
        if self.n_users is not None and self.n_users < 1:
            msg = f"{self.n_users} listeners can't be judged: at least 1"
            raise BadInputError(msg)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The figures of one model."""

    name: str
    metrics: dict[str, Interval]
    settings: TrainSettings | None
    fit_s: float
    rank_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the model's entry in what `evaluate --json` prints."""
        return {
            "name": self.name,
            **{name: interval.value for name, interval in self.metrics.items()},
            "ci95": {name: [interval.low, interval.high] for name, interval in self.metrics.items()},
            "settings": self.settings.to_dict() if self.settings else None,
            "fit_s": round(self.fit_s, 3),
            "rank_s": round(self.rank_s, 3),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found: the split as it fell, and each model's figures."""

    split: dict[str, Any]
    models: tuple[ModelReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what `evaluate --json` prints."""
        return {"split": self.split, "models": [model.to_dict() for model in self.models]}


def evaluate(
    user_items: csr_matrix,
    candidates: Sequence[Candidate],
    settings: EvaluationSettings | None = None,
    *,
    threads: int = 1,
    folder: Path | None = None,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Train each candidate on the training part and judge its lists on the held-out part.

    Listeners are judged who have something held out and something left that a model knows them by.

    Parameters
    ----------
    user_items : csr_matrix, shape (n_users, n_artists), float32
        The plays, columns sorted, no duplicates; read, never written.
    candidates : sequence of Candidate
    settings : EvaluationSettings
    threads : int
    folder : Path, optional
        Where temporary files go (the system's place for them unless given); they are removed.
    on_progress : callable, optional

    Raises
    ------
    BadInputError
        Where the matrix leaves nothing to hold out, or nobody to judge.
    """
    settings = settings or EvaluationSettings()
    with tempfile.TemporaryDirectory(prefix=".evaluate-", dir=folder) as place:
        split = make_split(user_items, settings.split, Path(place))
        users, n_unknown = choose_users(split, settings)
        described = {
            **settings.split.to_dict(),
            "n_train": int(split.train.nnz),
            "n_held_out": int(split.held_out.nnz),
            "n_users": len(users),
            "n_users_without_history": n_unknown,
        }
        reports = []
        for candidate in candidates:
            # A model's files go before the next one's come.
            with tempfile.TemporaryDirectory(prefix="model-", dir=place) as model_place:
                reports.append(_judge(candidate, split, users, settings, Path(model_place), threads, on_progress))
    return Evaluation(described, tuple(reports))


def choose_users(split: Split, settings: EvaluationSettings) -> tuple[Users, int]:
    """Return the rows that are judged, in order, and how many have no history and so can't be."""
    import numpy as np

    judged = np.diff(split.held_out.indptr) > 0
    known = np.diff(split.history.indptr) > 0
    users = np.flatnonzero(judged & known)
    if not len(users):
        msg = f"the split {split.settings.to_dict()} leaves nobody to judge: hold out a smaller share, or take more data"
        raise BadInputError(msg)
    if settings.n_users is not None and settings.n_users < len(users):
        rng = np.random.default_rng(settings.split.seed)
        users = np.sort(rng.choice(users, settings.n_users, replace=False))
    return users, int(np.count_nonzero(judged & ~known))


def _judge(  # noqa: PLR0913
    candidate: Candidate,
    split: Split,
    users: Users,
    settings: EvaluationSettings,
    folder: Path,
    threads: int,
    on_progress: Progress | None,
) -> ModelReport:
    from lastfm_dask.recommender.metrics import measure

    def progress(verb: str) -> Callable[[int, int], None]:
        return lambda done, total: on_progress(f"{verb} {candidate.name}", done, total) if on_progress else None

    started = time.perf_counter()
    ranker = candidate.fit(split, folder, threads, progress("fit"))
    fitted = time.perf_counter()
    items = rank_users(ranker, split.history, users, max(settings.ks), threads=threads, on_progress=progress("rank"))
    ranked = time.perf_counter()
    metrics = measure(
        items, split.held_out[users], settings.ks, seed=settings.split.seed, n_resamples=settings.n_resamples
    )
    return ModelReport(candidate.name, metrics, candidate.settings, fitted - started, ranked - fitted)


def rank_users(
    ranker: Ranker,
    history: csr_matrix,
    users: Users,
    k: int,
    *,
    threads: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Items:
    """Return the lists of many listeners, int32, shape (len(users), k), -1 where a list ends early.

    Batches hold `BATCH_BYTES` of scores, one batch on each thread.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    items = np.full((len(users), k), -1, dtype=np.int32)
    n_batch = min(MAX_BATCH, max(1, BATCH_BYTES // (4 * history.shape[1])))

    def work(start: int) -> int:
        batch = users[start : start + n_batch]
        items[start : start + len(batch)] = ranker.rank(batch, history[batch], k)
        return start + len(batch)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        try:
            for done in pool.map(work, range(0, len(users), n_batch)):
                if on_progress:
                    on_progress(done, len(users))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return items

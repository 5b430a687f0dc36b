"""What ranks beside the factors: item weights and popularity, and how much each counts, chosen on held-out interactions.

`choose` draws a sample of users, trains a reduced ALS on it, and scores its users by item weights of the same sample:
cosine neighbours, and EASE with several lambdas where it can be worked out for all data. Each is blended with ALS in a few
shares, and the best of these with popularity. A parabola through the NDCG@10 by share evens the sample's noise out. A
preset that leaves the model open adds what gains at least `GAIN`. Small data is sampled several times. `fit` then works
the weights out for all data.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl
from scipy.sparse import csr_matrix

from lastfm_dask.dataset import layout
from lastfm_dask.training import ease, sampled
from lastfm_dask.training.check import Sample, SampleSize
from lastfm_dask.training.strength import Lengths, four_digits
from lastfm_dask.training.weighting import count_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from lastfm_dask.training.fit_run import FitRun
    from lastfm_dask.training.sampled import Rows, Scores
    from lastfm_dask.training.settings import TrainSettings

    Figures = npt.NDArray[np.float64]
    Tried = tuple[str, float | None, float, float]
    """A kind, lambda, the share of item weights, and then that of popularity."""

EASE = "ease"
NEIGHBOURS = "neighbours"
NOTHING = "none"
SHARES = (0.25, 0.5, 0.75)
"""Of the item weights in a blend; 0 and 1 are tried too."""
POPULARITY_SHARES = (0.25, 0.5, 1.0)
"""Of popularity beside the best blend; 0 is tried too."""
REGULARIZATIONS = (25.0, 75.0, 200.0, 600.0, 1800.0)
"""Lambdas of EASE that are tried."""
GAIN = 1.01
"""What item weights must raise NDCG@10 to, relative to ALS alone, where a preset leaves the model open."""
CLOSE = 0.7
"""Nothing is clearly better than popularity if it gains less than this many standard errors, or less than `GAIN`."""
SIZE = SampleSize(values=1 << 17, users=1 << 16, ranked=1 << 9, least=10)
MAX_SIDE = 3 << 10
"""Users of the sample, where EASE is tried and artists are not fewer."""
LEAST_RANKED = 1 << 10
MAX_SAMPLES = 6
"""Of fewer users than `LEAST_RANKED` the sample is drawn up to so many times, until so many lists were ranked."""
SCALED_USERS = 1 << 6
"""Users by whose scores all parts are brought to one scale."""
BATCH_USERS = 16
ALS: Tried = (NOTHING, None, 0.0, 0.0)
POPULARITY: Tried = (NOTHING, None, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Second:
    """What is added to a model, and how much it counts."""

    kind: str
    """`ease`, `neighbours` (cosine), or `none`: popularity alone is added."""
    regularization: float | None
    """Of EASE."""
    share: float
    """What item weights count in the blend with ALS, both being brought to one scale; 1: ALS counts nothing."""
    sample: dict[str, float]
    """NDCG@10 on the sample, by what was tried."""
    popularity: float = 0.0
    """What popularity counts beside the blend; 1: popularity alone ranks."""

    @property
    def tried(self) -> Tried:
        """Return it as one of what was tried."""
        return self.kind, self.regularization, self.share, self.popularity

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def choose(
    plays: csr_matrix, settings: TrainSettings, folder: Path, *, threads: int
) -> tuple[Second | None, dict[str, float]]:
    """Return what to add to the factors, None for ALS alone, and the NDCG@10 of all that was tried on the sample.

    Parameters
    ----------
    plays : csr_matrix, shape (n_users, n_artists), float32
        All plays.
    settings : TrainSettings
        Settled; its `model` says what is wanted: `als`, `neighbours`, `blend`, or `auto`, what the sample favours.
    folder : Path
        Made for what is worked with, and removed.
    threads : int
        The result does not depend on it.
    """
    if settings.model == "als":
        return None, {}
    samples = _samples(plays)
    if not samples:
        return _unmeasured(plays, settings.model), {}
    folder.mkdir(parents=True)
    # One for all samples, whose sizes differ a little: the same lambdas are tried on each.
    growth = float(np.sqrt(plays.shape[0] / np.mean([sample.train.shape[0] for sample in samples])))
    with threadpoolctl.threadpool_limits(1, "blas"), ExitStack() as stack:
        trials = [
            stack.enter_context(_trial(sample, plays, settings, folder / str(number), threads, growth))
            for number, sample in enumerate(samples)
        ]
        figures = _joined(trial.blends() for trial in trials)
        best = _best(figures, settings.model)
        if settings.model == "auto":
            figures |= _joined(trial.with_popularity(best) for trial in trials)
            best = _with_popularity(best, figures)
    shutil.rmtree(folder)
    values = {_name(tried): float(figure.mean()) for tried, figure in figures.items()}
    return None if best == ALS else Second(*best[:3], values, best[3]), values


def most_samples(n_users: int) -> int:
    """Return how often a sample is drawn, at most."""
    return MAX_SAMPLES if n_users < LEAST_RANKED else 2


def _samples(plays: csr_matrix) -> list[Sample]:
    """Return the sample, drawn again while it ranks few users; none if there are too few to say anything."""
    smallest = min(plays.shape)
    size = (
        replace(SIZE, users=MAX_SIDE)
        if ease.has_room(plays.shape, plays.nnz) and smallest > MAX_SIDE
        else SIZE
    )
    found: list[Sample] = []
    while (
        len(found) < most_samples(plays.shape[0])
        and sum(len(sample.ranked) for sample in found) < LEAST_RANKED
    ):
        sample = Sample.of(plays, size, seed=len(found))
        if sample is None:
            break
        found.append(sample)
    return found


def _unmeasured(plays: csr_matrix, model: str) -> Second | None:
    """Return what is added where nothing can be measured."""
    if model == "auto":
        return None
    kind = EASE if ease.has_room(plays.shape, plays.nnz) else NEIGHBOURS
    return Second(
        kind, ease.REGULARIZATION if kind == EASE else None, 1.0 if model == NEIGHBOURS else 0.5, {}
    )


def _joined(parts: Iterable[dict[Tried, Figures]]) -> dict[Tried, Figures]:
    """Return the figures of all samples' users, by what was tried."""
    all_parts = list(parts)
    return {tried: np.concatenate([part[tried] for part in all_parts]) for tried in all_parts[0]}


def _best(figures: dict[Tried, Figures], model: str) -> Tried:
    """Return the best of what was tried without popularity, as far as the model leaves it open."""
    means = {tried: float(figure.mean()) for tried, figure in figures.items()}
    if model == NEIGHBOURS:
        return max((one for one in means if one[2] == 1), key=means.__getitem__)
    evened: dict[Tried, float] = {}
    for kind, strength in dict.fromkeys(one[:2] for one in means if one[2]):
        tried: list[Tried] = [ALS, *((kind, strength, share, 0.0) for share in (*SHARES, 1.0))]
        shares = [one[2] for one in tried]
        curve = np.polyval(np.polyfit(shares, [means[one] for one in tried], 2), shares)
        evened |= dict(zip(tried[1:], curve.tolist()[1:], strict=True))
    best = max((one for one in evened if model == "auto" or one[2] < 1), key=evened.__getitem__)
    return ALS if model == "auto" and means[best] < GAIN * means[ALS] else best


def _with_popularity(best: Tried, figures: dict[Tried, Figures]) -> Tried:
    """Return the best share of popularity; popularity alone if nothing is clearly better."""
    tried = [best, *((*best[:3], share) for share in POPULARITY_SHARES[:-1]), POPULARITY]
    first = max(tried, key=lambda one: float(figures[one].mean()))
    worse = figures[first] - figures[POPULARITY]
    noise = CLOSE * float(worse.std()) / np.sqrt(len(worse))
    return POPULARITY if worse.mean() <= max(noise, (1 - 1 / GAIN) * figures[first].mean()) else first


def _name(tried: Tried) -> str:
    kind, strength, share, popularity = tried
    name = f"{kind}{'' if strength is None else f' {strength:g}'}, share {share:g}" if share else "als"
    if tried == POPULARITY:
        return "popularity"
    return f"{name}, popularity {popularity:g}" if popularity else name


@dataclass(frozen=True, slots=True)
class _Trial:
    """One sample, and what its users are scored by: all parts brought to one scale."""

    sample: Sample
    als: Scores
    growth: float
    """What lambda is multiplied by for all data, whose Gram matrix is larger; the weights of one list stay as they are."""
    eases: bool
    folder: Path

    def blends(self) -> dict[Tried, Figures]:
        """Return the figures by user of ALS, of item weights, and of their blends."""
        found = self._figures(None, ALS[:2], [(0.0, 0.0)])
        mixes = [(share, 0.0) for share in (*SHARES, 1.0)]
        kinds: list[tuple[str, float | None]] = [(NEIGHBOURS, None)]
        if self.eases:
            kinds += [(EASE, four_digits(base * self.growth)) for base in REGULARIZATIONS]
        for kind in kinds:
            with self._scores(*kind) as scores:
                found |= self._figures(scores, kind, mixes)
        return found

    def with_popularity(self, best: Tried) -> dict[Tried, Figures]:
        """Return the figures by user of a blend to which popularity is added, and of popularity alone."""
        kind, strength, share, _ = best
        with self._scores(kind, strength) as scores:
            found = self._figures(scores, (kind, strength), [(share, one) for one in POPULARITY_SHARES[:-1]])
        return found | self._figures(None, POPULARITY[:2], [(0.0, 1.0)])

    @contextmanager
    def _scores(self, kind: str, strength: float | None) -> Iterator[Scores | None]:
        plays, rows = self.sample.train, self.sample.ranked
        if kind == NOTHING:
            yield None
        elif kind == NEIGHBOURS:
            yield _scaled(sampled.cosine(plays), rows)
        else:
            with sampled.by_ease(plays, (strength or 0.0) / self.growth, self.folder / "inverse") as scores:
                yield _scaled(scores, rows)

    def _figures(
        self, weights: Scores | None, kind: tuple[str, float | None], mixes: list[tuple[float, float]]
    ) -> dict[Tried, Figures]:
        """Return the figures by user for each mix of item weights and popularity; each part is scored once."""
        lists: list[list[Rows]] = [[] for _ in mixes]
        counts = count_columns(self.sample.train.indices, self.sample.train.shape[1]).astype(np.float32)
        counts /= np.sqrt(np.mean(np.square(counts)))
        for first in range(0, len(self.sample.ranked), BATCH_USERS):
            rows = self.sample.ranked[first : first + BATCH_USERS]
            by_als = self.als(rows)
            by_weights = by_als if weights is None else weights(rows)
            for (share, popularity), found in zip(mixes, lists, strict=True):
                blend = np.float32(1 - share) * by_als + np.float32(share) * by_weights
                found.append(
                    self.sample.best(
                        rows, np.float32(1 - popularity) * blend + np.float32(popularity) * counts
                    )
                )
        return {
            (*kind, *mix): self.sample.ndcg_by_user(np.concatenate(found))
            for mix, found in zip(mixes, lists, strict=True)
        }


@contextmanager
def _trial(
    sample: Sample, plays: csr_matrix, settings: TrainSettings, folder: Path, threads: int, growth: float
) -> Iterator[_Trial]:
    """Train a reduced ALS on a sample; its files go when the block ends."""
    with sample.reduced(settings, Lengths.of(plays).noise, folder, threads) as (users, items):
        als = _scaled(lambda rows: np.asarray(users[rows] @ items.T), sample.ranked)
        yield _Trial(sample, als, growth, ease.has_room(plays.shape, plays.nnz), folder)


def _scaled(scores: Scores, rows: Rows) -> Scores:
    """Return scores over the root mean square of those of some users."""
    parts = [scores(rows[i : i + BATCH_USERS]) for i in range(0, min(len(rows), SCALED_USERS), BATCH_USERS)]
    found = np.float32(np.sqrt(np.mean(np.square(np.concatenate(parts), dtype=np.float64)))) or np.float32(1)
    return lambda rows: scores(rows) / found


def fit(plays: csr_matrix, second: Second, run: FitRun) -> csr_matrix:
    """Work the item weights out for all data: csr_matrix, shape (n_artists, n_artists), mapped from the run's folder."""
    from lastfm_dask.training.neighbours import fit_neighbours

    if second.kind == NOTHING:
        return csr_matrix((plays.shape[1], plays.shape[1]), dtype=np.float32)
    if second.kind == EASE:
        return ease.fit_ease(plays, run, second.regularization or ease.REGULARIZATION)
    return fit_neighbours(plays, run)


def add_to(output: Path, plays: csr_matrix, second: Second, run: FitRun) -> dict[str, Any]:
    """Work item weights out, write them to a model's folder, and return what its manifest says of the blend.

    Parameters
    ----------
    output : Path
        The model's folder, whose factors are whole.
    run : FitRun
        Its folder is made here, and removed.
    """
    run.folder.mkdir()
    weights = fit(plays, second, run)
    (output / layout.ITEM_WEIGHTS[0]).parent.mkdir()
    for name, array in zip(layout.ITEM_WEIGHTS, (weights.indptr, weights.indices, weights.data), strict=True):
        np.save(output / name, array)
    gram = np.load(output / layout.ITEM_GRAM)
    user_factors = np.load(output / layout.USER_FACTORS, mmap_mode="r")
    found = shares(second, plays, weights, user_factors, gram)
    shutil.rmtree(run.folder)
    return {
        **second.to_dict(),
        "n_weights": len(weights.indices),
        **dict(zip(("share_als", "share_weights", "share_popularity"), found, strict=True)),
        "meaning": "score = share_als * (user factors . artist factors) + share_weights * sum of ln(1 + plays) * weight"
        " + share_popularity * listeners",
    }


def shares(
    second: Second,
    plays: csr_matrix,
    weights: csr_matrix,
    user_factors: npt.NDArray[np.floating],
    gram: npt.NDArray[np.floating],
) -> tuple[float, float, float]:
    """Return what ALS, item weights and listeners are multiplied by: shares over the root mean square of scores.

    The mean square of a user's dot products with all artists is x^T G x over their number, G being the Gram matrix of
    the artists' factors: no score is worked out for it.
    """
    n_users, n_artists = plays.shape
    rows = np.unique(np.linspace(0, n_users - 1, min(n_users, SCALED_USERS)).astype(np.int64))
    vectors = np.asarray(user_factors[rows], np.float64)
    by_als = float(np.einsum("ij,jk,ik->", vectors, gram, vectors)) / (len(rows) * n_artists)
    squares = 0.0
    for row in rows.tolist():
        squares += float(np.square((sampled.log_plays(plays[row]) @ weights).data, dtype=np.float64).sum())
    by_weights = squares / (len(rows) * n_artists)
    listeners = count_columns(plays.indices, n_artists).astype(np.float64)
    rest = 1 - second.popularity
    parts = (rest * (1 - second.share), by_als), (rest * second.share, by_weights)
    of_listeners = (second.popularity, float(listeners @ listeners) / n_artists)
    found = [part / np.sqrt(square) if square > 0 else part for part, square in (*parts, of_listeners)]
    return tuple(float(f"{one:.6g}") for one in found)  # type: ignore[return-value]

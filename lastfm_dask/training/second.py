"""What ranks beside the factors: item weights and popularity, and how much each counts, chosen on held-out interactions.

`choose` draws a sample of users, trains a reduced ALS on it, and scores its users by item weights of the same sample:
cosine neighbours, and EASE with several lambdas where it can be computed for all data. Each is blended with ALS in a few
shares, and the best of these with popularity. A quadratic through the NDCG@10 by share and lambda evens the sample's noise
out. A preset that leaves the model open adds what gains at least `GAIN`. Small data is sampled several times. `fit` then
works the weights out for all data.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl
from scipy.sparse import csr_matrix

from lastfm_dask.dataset import layout
from lastfm_dask.training import ease, sampled
from lastfm_dask.training.check import Sample, SampleSize
from lastfm_dask.training.strength import four_digits
from lastfm_dask.training.trial import EASE, NEIGHBOURS, NOTHING, SCALED_USERS, trial
from lastfm_dask.training.weighting import count_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from lastfm_dask.training.fit_run import FitRun
    from lastfm_dask.training.settings import TrainSettings
    from lastfm_dask.training.trial import Figures, Kind, Trial, Tried

    Floats = npt.NDArray[np.float64]

SHARES = (0.25, 0.5, 0.75)
"""Of the item weights in a blend; 0 and 1 are tried too."""
POPULARITY_SHARES = (0.25, 0.5, 1.0)
"""Of popularity beside the best blend; 0 is tried too."""
REGULARIZATIONS = (25.0, 75.0, 200.0, 600.0, 1800.0, 5400.0)
"""Lambdas of EASE: tried from the usual one, at `FIRST`, up and down as long as figures are near the best.

None is smaller: the sample ranks users that the weights were computed from, and so can't see how badly smaller ones
fit new users (on ratings of 943 users: lambda 2.5 ranks known ones as well as 75, new ones at .83 of ALS alone).
"""
FIRST = 1
NEAR = 0.99
"""A figure is near the best from this share of it on."""
GAIN = 1.01
"""What item weights must raise NDCG@10 to, relative to ALS alone, where a preset leaves the model open."""
CLOSE = 0.7
"""Nothing is clearly better than popularity if it gains less than this many standard errors, or less than `GAIN`."""
SIZE = SampleSize(values=1 << 17, users=1 << 16, ranked=1 << 10, least=10)
MAX_SIDE = 2 << 10
"""Users of the sample, where EASE is tried and artists are not fewer."""
LEAST_RANKED = 1 << 10
MAX_SAMPLES = 6
"""With fewer users than `LEAST_RANKED`, samples are drawn up to this many times, until that many lists are ranked."""
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
            stack.enter_context(trial(sample, plays, settings, folder / str(number), threads, growth))
            for number, sample in enumerate(samples)
        ]
        figures = _blends(trials)
        best = _best(figures, settings.model)
        if settings.model == "auto":
            figures |= _figures(trials, best[:2], [(best[2], one) for one in (0.0, *POPULARITY_SHARES[:-1])])
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


def _figures(
    trials: Sequence[Trial], kind: Kind, mixes: Sequence[tuple[float, float]]
) -> dict[Tried, Figures]:
    """Return the figures of all samples' users, by what was tried."""
    parts = [trial.figures(kind, mixes) for trial in trials]
    return {tried: np.concatenate([part[tried] for part in parts]) for tried in parts[0]}


def _blends(trials: Sequence[Trial]) -> dict[Tried, Figures]:
    """Return the figures of ALS, of popularity, of item weights, and of their blends with ALS."""
    mixes = [(share, 0.0) for share in (*SHARES, 1.0)]
    found = _figures(trials, (NEIGHBOURS, None), [ALS[2:], POPULARITY[2:], *mixes])
    if not trials[0].eases:
        return found
    heights: dict[int, float] = {}
    for step in (1, -1):
        place = FIRST
        while place in range(len(REGULARIZATIONS)):
            if place not in heights:
                kind = EASE, four_digits(REGULARIZATIONS[place] * trials[0].growth)
                figures = _figures(trials, kind, mixes)
                found |= figures
                heights[place] = max(float(figure.mean()) for figure in figures.values())
            if heights[place] < NEAR * max(heights.values()):
                break
            place += step
    return found


def _evened(figures: dict[Tried, Figures]) -> dict[Tried, float]:
    """Return mean figures with the noise of single ones evened out: a quadratic in the share and in ln lambda.

    Without a share lambda does not matter. Of EASE, lambdas with figures near the best count, with the next ones on
    both sides.
    """
    means = {tried: float(figure.mean()) for tried, figure in figures.items()}
    evened: dict[Tried, float] = {}
    for name in dict.fromkeys(one[0] for one in means if one[2]):
        heights: dict[float, float] = {}
        for one in (one for one in means if one[0] == name):
            heights[one[1] or 1.0] = max(heights.get(one[1] or 1.0, 0.0), means[one])
        strengths = sorted(heights)
        good = [i for i, one in enumerate(strengths) if heights[one] >= NEAR * max(heights.values())]
        near = strengths[max(good[0] - 1, 0) : good[-1] + 2]
        points = [(1.0, 0.0, means[ALS])]
        points += [
            (one[1] or 1.0, one[2], v)
            for one, v in means.items()
            if one[0] == name and (one[1] or 1.0) in near
        ]
        places = np.array(points)
        factors, *_ = np.linalg.lstsq(_terms(places, near), places[:, 2], rcond=None)
        grid = [(strength, share) for strength in near for share in (*SHARES, 1.0)]
        for (strength, share), value in zip(grid, _terms(np.array(grid), near) @ factors, strict=True):
            evened[name, strength if name == EASE else None, share, 0.0] = float(value)
    return evened


def _terms(places: Floats, near: list[float]) -> Floats:
    """Return the quadratic's terms of lambdas and shares, one row a place; without a share nothing depends on lambda."""
    x, shares = np.log(places[:, 0] / near[len(near) // 2]), places[:, 1]
    by_strength = [x**power for power in range(min(len(near), 3))]
    return np.column_stack([np.ones_like(x), *(shares**p * term for p in (1, 2) for term in by_strength)])


def _best(figures: dict[Tried, Figures], model: str) -> Tried:
    """Return the best blend without popularity, as far as the model leaves it open."""
    evened = _evened(figures)
    allowed = {"neighbours": (1.0,), "blend": SHARES}.get(model, (*SHARES, 1.0))
    open_to = {one: value for one, value in evened.items() if one[2] in allowed}
    best = _nearest_usual(open_to, figures)
    # Evened figures may overshoot where few were measured: both must gain.
    reached = min(evened[best], float(figures[best].mean()))
    return ALS if model == "auto" and reached < GAIN * figures[ALS].mean() else best


def _nearest_usual(evened: dict[Tried, float], figures: dict[Tried, Figures]) -> Tried:
    """Return the best; of EASE, with the lambda nearest to the usual one that is worse by noise at most.

    Noise is a standard error of the difference (the rule of one standard error: Breiman, Friedman, Olshen, Stone 1984).
    """
    best = max(evened, key=evened.__getitem__)
    if best[0] != EASE:
        return best
    tried = {one[1] or 0.0: one for one in sorted(evened, key=evened.__getitem__) if one[0] == EASE}
    usual = next(one[1] or 0.0 for one in figures if one[0] == EASE)
    first, last = sorted((usual, best[1] or 0.0))
    for strength in sorted(tried, key=lambda strength: abs(np.log(strength / usual))):
        one = tried[strength]
        noise = float((figures[best] - figures[one]).std()) / np.sqrt(len(figures[best]))
        if first <= strength <= last and evened[one] >= evened[best] - noise:
            return one
    return best


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
    the artists' factors: it gets no score.
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

"""A second model beside the factors, item weights: which, and how much it counts, is chosen on held-out interactions.

`choose` takes the sample of `check`, trains a reduced ALS and scores the sample's own users by item weights: cosine
neighbours, and EASE where it can be worked out for all data. Each is blended with ALS in a few shares; the highest
NDCG@10 wins. A preset that leaves it open adds item weights where they gain at least `GAIN`. `fit` then works the weights
out for all data.

On the sample both kinds of item weights are exact and need no matrix of artists by artists: with the users' Gram matrix
K = X X^T = U diag(e) U^T the scores of EASE are x X^T (K + lambda I)^-1 X over 1 - sum_k (U^T X)_kj^2 / (e_k + lambda).
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl

from lastfm_dask.dataset import layout
from lastfm_dask.training import ease
from lastfm_dask.training.check import Sample
from lastfm_dask.training.strength import Lengths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.training.fit_run import FitRun
    from lastfm_dask.training.settings import TrainSettings

    Floats = npt.NDArray[np.float32]
    Rows = npt.NDArray[np.int64]
    Scores = Callable[[Rows], Floats]
    Tried = tuple[str, float | None, float]
    """A kind, lambda, and the share of item weights."""

EASE = "ease"
NEIGHBOURS = "neighbours"
SHARES = (0.25, 0.5, 0.75)
"""Of the item weights in a blend; 0 and 1 are tried too."""
REGULARIZATIONS = (35.0, 70.0, 140.0)
"""Lambdas of EASE that are tried."""
GAIN = 1.02
"""What item weights must raise NDCG@10 to, relative to ALS alone, where a preset leaves the model open."""
SAMPLE_USERS = 1 << 10
"""Users of the sample whose lists make the item weights."""
RANKED_USERS = 1 << 8
SCALED_USERS = 1 << 6
"""Users by whose scores both parts are brought to one scale."""
BLOCK_ARTISTS = 1 << 8
BATCH_USERS = 16


@dataclass(frozen=True, slots=True)
class Second:
    """Item weights that are added to a model, and how much they count."""

    kind: str
    """`ease` or `neighbours` (cosine)."""
    regularization: float | None
    """Of EASE."""
    share: float
    """What item weights count in the blend, both parts being brought to one scale; 1: alone."""
    sample: dict[str, float]
    """NDCG@10 on the sample, by what was tried."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def choose(
    plays: csr_matrix, settings: TrainSettings, folder: Path, *, threads: int
) -> tuple[Second | None, dict[str, float]]:
    """Return the item weights to add, None for ALS alone, and the NDCG@10 of all that was tried on the sample.

    Parameters
    ----------
    plays : csr_matrix, shape (n_users, n_artists), float32
        All plays.
    settings : TrainSettings
        Settled; its `model` says what is wanted: `als`, `neighbours`, `blend`, or `auto`, what the sample favours.
    folder : Path
        Made for the reduced model, and removed with it.
    threads : int
        The result does not depend on it.
    """
    if settings.model == "als":
        return None, {}
    with threadpoolctl.threadpool_limits(1, "blas"):
        found = _measured(plays, settings, folder, threads)
    if not found:
        if settings.model == "auto":
            return None, {}
        kind = EASE if ease.has_room(plays.shape, plays.nnz) else NEIGHBOURS
        share = 1.0 if settings.model == NEIGHBOURS else 0.5
        return Second(kind, ease.REGULARIZATION if kind == EASE else None, share, {}), {}
    values = {_name(one): value for one, value in found.items()}
    shares = {"auto": (*SHARES, 1.0), "blend": SHARES, NEIGHBOURS: (1.0,)}[settings.model]
    chosen = max((one for one in found if one[2] in shares), key=found.__getitem__)
    (kind, strength, share), best = chosen, found[chosen]
    if settings.model == "auto" and best < GAIN * found[("als", None, 0.0)]:
        return None, values
    return Second(kind, strength, share, values), values


def _name(tried: Tried) -> str:
    kind, strength, share = tried
    return "als" if not share else f"{kind}{'' if strength is None else f' {strength:g}'}, share {share:g}"


def _measured(plays: csr_matrix, settings: TrainSettings, folder: Path, threads: int) -> dict[Tried, float]:
    """Return the NDCG@10 of ALS, of item weights and of their blends on the sample; empty if it is too small."""
    whole = Sample.of(plays)
    if whole is None:
        return {}
    rows = whole.ranked[whole.ranked < SAMPLE_USERS][:RANKED_USERS]
    if not len(rows):
        return {}
    sample = replace(whole, ranked=rows)
    few = sample.train[:SAMPLE_USERS]
    kinds: dict[tuple[str, float | None], Scores] = {(NEIGHBOURS, None): _cosine(few)}
    if ease.has_room(plays.shape, plays.nnz):
        # More data asks for more: lambda is relative to the weights of one list, which stay as they are.
        growth = float(np.sqrt(plays.shape[0] / few.shape[0]))
        for base, scores in _ease(few, REGULARIZATIONS).items():
            kinds[EASE, float(f"{base * growth:.4g}")] = scores
    with sample.reduced(settings, Lengths.of(plays).noise, folder, threads) as (users, items):

        def als(chosen: Rows) -> Floats:
            return np.asarray(users[chosen] @ items.T)

        lists = _lists(sample, als, kinds)
    return {tried: sample.ndcg(found) for tried, found in lists.items()}


def _lists(
    sample: Sample, als: Scores, kinds: dict[tuple[str, float | None], Scores]
) -> dict[Tried, npt.NDArray[np.int64]]:
    """Return the lists of all that is tried; each part is scored once."""
    als_scale, scales = (
        scale(als, sample.ranked),
        {kind: scale(of, sample.ranked) for kind, of in kinds.items()},
    )
    found: dict[Tried, list[npt.NDArray[np.int64]]] = {}
    for first in range(0, len(sample.ranked), BATCH_USERS):
        rows = sample.ranked[first : first + BATCH_USERS]
        by_als = als(rows) / np.float32(als_scale)
        found.setdefault(("als", None, 0.0), []).append(sample.best(rows, by_als))
        for (kind, strength), scores in kinds.items():
            by_weights = scores(rows) / np.float32(scales[kind, strength])
            for share in (*SHARES, 1.0):
                blended = np.float32(1 - share) * by_als + np.float32(share) * by_weights
                found.setdefault((kind, strength, share), []).append(sample.best(rows, blended))
    return {tried: np.concatenate(parts) for tried, parts in found.items()}


def scale(scores: Scores, rows: Rows) -> float:
    """Return the root mean square of the scores of some users, 1 where all are zero."""
    parts = [scores(rows[i : i + BATCH_USERS]) for i in range(0, min(len(rows), SCALED_USERS), BATCH_USERS)]
    found = float(np.sqrt(np.mean([np.mean(np.square(part, dtype=np.float64)) for part in parts])))
    return found if found > 0 else 1.0


def _log(plays: csr_matrix) -> csr_matrix:
    found = plays.copy()
    found.data = np.log1p(found.data)
    return found


def _cosine(plays: csr_matrix) -> Scores:
    """Return what scores rows by the cosines of artists' columns, which are never multiplied out."""
    weights = _log(plays)
    lengths = np.sqrt(
        np.bincount(weights.indices, np.square(weights.data, dtype=np.float64), weights.shape[1])
    )
    unit = weights.copy()
    unit.data = (unit.data / lengths[unit.indices]).astype(np.float32)

    def scores(rows: Rows) -> Floats:
        return np.asarray((weights[rows] @ unit.T @ unit).toarray())

    return scores


def _ease(plays: csr_matrix, strengths: tuple[float, ...]) -> dict[float, Scores]:
    """Return what scores rows by EASE for each lambda, by one decomposition of the users' Gram matrix."""
    weights = _log(plays)
    weights.data /= np.float32(np.sqrt(np.mean(np.square(weights.data, dtype=np.float64))))
    values, vectors = np.linalg.eigh((weights @ weights.T).toarray())
    n_artists = weights.shape[1]
    turned = np.ascontiguousarray(vectors.T)
    diagonals = {strength: np.empty(n_artists, np.float32) for strength in strengths}
    by_column = weights.tocsc()
    for start in range(0, n_artists, BLOCK_ARTISTS):
        part = slice(start, start + BLOCK_ARTISTS)
        squares = np.square((by_column[:, part].T @ vectors).T)
        for strength, diagonal in diagonals.items():
            diagonal[part] = (squares / (np.maximum(values, 0) + strength)[:, None]).sum(axis=0)

    def of(strength: float) -> Scores:
        def scores(rows: Rows) -> Floats:
            # Row i of the Gram matrix is row i of U diag(e) U^T.
            projected = vectors[rows] * (np.maximum(values, 0) / (np.maximum(values, 0) + strength))
            products = np.asarray(weights.T @ (projected @ turned).T, np.float32).T
            return np.asarray(products / (1 - diagonals[strength]))

        return scores

    return {strength: of(strength) for strength in strengths}


def fit(plays: csr_matrix, second: Second, run: FitRun) -> csr_matrix:
    """Work the item weights out for all data: csr_matrix, shape (n_artists, n_artists), mapped from the run's folder."""
    from lastfm_dask.training.neighbours import fit_neighbours

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
    share_als, share_weights = shares(
        second.share, plays, weights, np.load(output / layout.USER_FACTORS, mmap_mode="r"), gram
    )
    shutil.rmtree(run.folder)
    return {
        **second.to_dict(),
        "n_weights": len(weights.indices),
        "share_als": share_als,
        "share_weights": share_weights,
        "meaning": "score = share_als * (user factors . artist factors) + share_weights * sum of ln(1 + plays) * weight",
    }


def shares(
    share: float,
    plays: csr_matrix,
    weights: csr_matrix,
    user_factors: npt.NDArray[np.floating],
    gram: npt.NDArray[np.floating],
) -> tuple[float, float]:
    """Return what each part is multiplied by: its share over the root mean square of some users' scores.

    The mean square of a user's dot products with all artists is x^T G x over their number, G being the Gram matrix of
    the artists' factors: no score is worked out for it.
    """
    n_users, n_artists = plays.shape
    rows = np.unique(np.linspace(0, n_users - 1, min(n_users, SCALED_USERS)).astype(np.int64))
    vectors = np.asarray(user_factors[rows], np.float64)
    by_als = float(np.einsum("ij,jk,ik->", vectors, gram, vectors)) / (len(rows) * n_artists)
    squares = 0.0
    for row in rows.tolist():
        squares += float(np.square((_log(plays[row]) @ weights).data, dtype=np.float64).sum())
    by_weights = squares / (len(rows) * n_artists)
    return tuple(  # type: ignore[return-value]
        float(f"{part / np.sqrt(square) if square > 0 else part:.6g}")
        for part, square in ((1 - share, by_als), (share, by_weights))
    )

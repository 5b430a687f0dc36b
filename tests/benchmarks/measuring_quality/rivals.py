"""Models that the default is measured against, worked out densely or by implicit: none of the package's own code."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from lastfm_dask.evaluation.candidates import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastfm_dask.evaluation.candidates import FitRun
    from lastfm_dask.evaluation.splits import Split

LAMBDAS = (10.0, 30.0, 80.0, 200.0, 500.0, 1500.0)
"""Of EASE, on values whose root mean square is 1."""
_MAX_SIDE = 12_000


@dataclass
class ScoreRanker:
    """Ranks by scores of all artists."""

    scores: Callable[[csr_matrix], np.ndarray]

    def rank(self, users: Any, history: csr_matrix, k: int) -> np.ndarray:  # noqa: ARG002
        """Return the best `k` columns for each row of `history`, its own left out."""
        lists = np.full((history.shape[0], k), -1, np.int32)
        for first in range(0, history.shape[0], 64):
            found = self.scores(history[first : first + 64])
            for row, scores in enumerate(found):
                known = slice(*history.indptr[first + row : first + row + 2])
                scores[history.indices[known]] = -np.inf
                best = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
                best = best[np.argsort(-scores[best], kind="stable")]
                best = best[scores[best] > -np.inf]
                lists[first + row, : len(best)] = best
        return lists


def _weighted(plays: csr_matrix, *, binary: bool) -> csr_matrix:
    data = np.ones_like(plays.data) if binary else np.log1p(plays.data)
    return csr_matrix((data.astype(np.float32), plays.indices, plays.indptr), plays.shape)


class DenseEase:
    """EASE for all lambdas, by one decomposition of the smaller Gram matrix (Steck 2019)."""

    def __init__(self, train: csr_matrix, *, binary: bool) -> None:
        self.binary = binary
        weights = _weighted(train, binary=binary)
        self.scale = np.float32(np.sqrt(np.mean(np.square(weights.data))))
        self.weights = weights / self.scale
        self.by_users = train.shape[0] <= train.shape[1]
        side = self.weights if self.by_users else self.weights.T.tocsr()
        self.values, self.vectors = np.linalg.eigh((side @ side.T).toarray().astype(np.float32))
        if self.by_users:
            self.turned = np.asarray(self.weights.T @ self.vectors, np.float32)
        self.squares = np.square(self.turned if self.by_users else self.vectors)

    def ranker(self, strength: float) -> ScoreRanker:
        """Return the ranker for a lambda."""
        shrunk = (1 / (np.maximum(self.values, 0) + strength)).astype(np.float32)
        diagonal = self.squares @ shrunk
        if self.by_users:
            # P = (I - X^T C X) / lambda; the scores of unseen artists are x X^T C X over 1 - diag(X^T C X).
            def scores(history: csr_matrix) -> np.ndarray:
                lists = _weighted(history, binary=self.binary)
                return ((lists @ self.turned) * shrunk @ self.turned.T) / (1 - diagonal)
        else:

            def scores(history: csr_matrix) -> np.ndarray:
                lists = _weighted(history, binary=self.binary)
                return -((lists @ self.vectors) * shrunk @ self.vectors.T) / diagonal

        return ScoreRanker(scores)


def eases(train_shape: tuple[int, int]) -> list[Candidate]:
    """Return EASE on log plays and on what was heard at all, with each lambda; none where both sides are long."""
    if min(train_shape) > _MAX_SIDE:
        return []
    found = []
    kept: dict[bool, DenseEase] = {}

    def fit(strength: float, *, binary: bool) -> Callable[[Split, FitRun], ScoreRanker]:
        def of(split: Split, run: FitRun) -> ScoreRanker:
            if binary not in kept:
                kept.clear()
                kept[binary] = DenseEase(split.train, binary=binary)
            return kept[binary].ranker(strength)

        return of

    for binary in (False, True):
        name = "ease (heard)" if binary else "ease (log)"
        found += [Candidate(f"{name} {strength:g}", fit(strength, binary=binary)) for strength in LAMBDAS]
    return found


def implicit_neighbours() -> list[Candidate]:
    """Return implicit's own nearest neighbours: cosine, TF-IDF and BM25, the nearest 200."""
    from implicit import nearest_neighbours as nn

    def fit(of: Callable[[], Any], *, log: bool) -> Callable[[Split, FitRun], ScoreRanker]:
        def fitted(split: Split, run: FitRun) -> ScoreRanker:
            def values(plays: csr_matrix) -> csr_matrix:
                return _weighted(plays, binary=False) if log else csr_matrix(plays, dtype=np.float32)

            model = of()
            model.num_threads = run.threads
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(values(split.train), show_progress=False)
            return ScoreRanker(lambda history: (values(history) @ model.similarity).toarray())

        return fitted

    made = {
        "cosine": lambda: nn.CosineRecommender(K=200),
        "tfidf": lambda: nn.TFIDFRecommender(K=200),
        "bm25": lambda: nn.BM25Recommender(K=200),
    }
    return [
        Candidate(f"{name} ({'log' if log else 'raw'})", fit(of, log=log))
        for name, of in made.items()
        for log in (True, False)
    ]

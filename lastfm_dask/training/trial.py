"""One sample of the choice: what ranks its users in many mixes of ALS, item weights and popularity, and how well."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.engine.threads import completed
from lastfm_dask.training import ease, sampled
from lastfm_dask.training.strength import Lengths
from lastfm_dask.training.weighting import count_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from lastfm_dask.training.check import Sample
    from lastfm_dask.training.sampled import Rows, Scores
    from lastfm_dask.training.settings import TrainSettings

    Figures = npt.NDArray[np.float64]
    Kind = tuple[str, float | None]
    """What item weights are, and lambda."""
    Tried = tuple[str, float | None, float, float]
    """A kind, lambda, the share of item weights, and then that of popularity."""

EASE = "ease"
NEIGHBOURS = "neighbours"
NOTHING = "none"
SCALED_USERS = 1 << 6
"""Users by whose scores all parts are brought to one scale."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One sample, and what its users are scored by: all parts brought to one scale."""

    sample: Sample
    als: Scores
    growth: float
    """What lambda is multiplied by for all data, whose Gram matrix is larger; the weights of one list stay as they are."""
    eases: bool
    """Whether EASE can be computed for all data."""
    folder: Path
    threads: int

    def figures(self, kind: Kind, mixes: Sequence[tuple[float, float]]) -> dict[Tried, Figures]:
        """Return the NDCG@10 of each ranked user for mixes of one kind: shares of item weights and of popularity."""
        counts = count_columns(self.sample.train.indices, self.sample.train.shape[1]).astype(np.float32)
        counts /= np.sqrt(np.mean(np.square(counts)))
        parts = [
            ((1 - popularity) * (1 - share), (1 - popularity) * share, popularity)
            for share, popularity in mixes
        ]

        def ranked(rows: Rows) -> list[Rows]:
            popular = np.broadcast_to(counts, (len(rows), len(counts)))
            by_als = self.als(rows) if any(part[0] for part in parts) else popular
            scores = by_als, weights(rows), popular
            return [self.sample.best(rows, _sum(scores, part)) for part in parts]

        with self._scores(kind) as weights:
            lists = list(completed(ranked, self.sample.batches(), self.threads, in_order=True))
        return {
            (*(kind if share else (NOTHING, None)), share, popularity): self.sample.ndcg_by_user(
                np.concatenate(found)
            )
            for (share, popularity), found in zip(mixes, zip(*lists, strict=True), strict=True)
        }

    @contextmanager
    def _scores(self, kind: Kind) -> Iterator[Scores]:
        name, strength = kind
        if name == EASE:
            assert strength is not None
            folder = self.folder / "inverse"
            with sampled.by_ease(self.sample.train, strength / self.growth, folder) as scores:
                yield _scaled(scores, self.sample.ranked)
        elif name == NEIGHBOURS:
            yield _scaled(sampled.cosine(self.sample.train), self.sample.ranked)
        else:
            yield self.als


def _sum(scores: Sequence[sampled.Floats], factors: Sequence[float]) -> sampled.Floats:
    """Return the sum of arrays, each times a number, as an array of its own."""
    terms = (part * np.float32(factor) for part, factor in zip(scores, factors, strict=True) if factor)
    found = next(terms)
    for term in terms:
        found += term
    return found


@contextmanager
def trial(
    sample: Sample, plays: csr_matrix, settings: TrainSettings, folder: Path, threads: int, growth: float
) -> Iterator[Trial]:
    """Train a reduced ALS on a sample; its files go when the block ends."""
    with sample.reduced(settings, Lengths.of(plays).noise, folder, threads) as (users, items):
        als = _scaled(lambda rows: np.asarray(users[rows] @ items.T), sample.ranked)
        yield Trial(sample, als, growth, ease.has_room(plays.shape, plays.nnz), folder, threads)


def _scaled(scores: Scores, rows: Rows) -> Scores:
    """Return scores over the root mean square of those of some users."""
    parts = (scores(rows[i : i + 8]) for i in range(0, min(len(rows), SCALED_USERS), 8))
    mean = np.mean([np.mean(np.square(part, dtype=np.float64)) for part in parts])
    root = np.float32(np.sqrt(mean)) or np.float32(1)

    def scaled(rows: Rows) -> sampled.Floats:
        found = scores(rows)
        found /= root
        return found

    return scaled

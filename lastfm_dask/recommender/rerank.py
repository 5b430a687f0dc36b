"""Reorder the best artists, for variety (`diverse`) or for artists that few know (`novelty`). Needs only NumPy.

Both work on a pool, the best by score. Within it a score becomes relevance, 0 for the lowest and 1 for the highest.

- `novelty` v: relevance becomes (1 - v) relevance + v novelty, novelty being an artist's self-information
  -log2(listeners / users), as a share of the pool's highest (Zhou et al. 2010, "Solving the apparent diversity-accuracy
  dilemma of recommender systems").
- `diverse` d: maximal marginal relevance (Carbonell, Goldstein 1998): the next artist is the one with the highest
  (1 - d) relevance - d s, s being the highest cosine of its vector with those of the artists chosen before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

POOL = 200
"""How many artists are reordered, or ten for each that is listed if that is more."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """How much variety and novelty count beside the score, 0 to 1 each.

    Raises
    ------
    BadInputError
        If a share is out of its range.
    """

    diverse: float = 0.0
    novelty: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("diverse", self.diverse), ("novelty", self.novelty)):
            if not 0 <= share <= 1:
                msg = f"{name} is {share}, allowed is 0 to 1"
                raise BadInputError(msg)

    @property
    def is_on(self) -> bool:
        """Whether anything but the score counts."""
        return self.diverse > 0 or self.novelty > 0

    def pool(self, n: int) -> int:
        """Return how many artists are reordered for a list of `n`."""
        return max(POOL, 10 * n) if self.is_on else n

    def order(self, scores: Floats, vectors: Floats, informations: Floats, n: int) -> npt.NDArray[np.intp]:
        """Return the places of the `n` artists to list, in their order.

        Parameters
        ----------
        scores : floats, shape (n_pool,)
            From the highest to the lowest.
        vectors : floats, shape (n_pool, factors)
            The artists' factors.
        informations : floats, shape (n_pool,)
            Their self-information in bits.
        n : int
            How many at most.
        """
        relevance = _share(scores - scores.min(initial=np.inf))
        relevance = (1 - self.novelty) * relevance + self.novelty * _share(informations)
        if not self.diverse:
            return np.argsort(-relevance, kind="stable")[:n]
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        unit = vectors / np.where(lengths > 0, lengths, 1)[:, None]
        nearest = np.zeros(len(scores))
        chosen: list[int] = []
        for _ in range(min(n, len(scores))):
            worth = (1 - self.diverse) * relevance - self.diverse * nearest
            worth[chosen] = -np.inf
            best = int(np.argmax(worth))
            # Before the first nothing is chosen that could be near: 0 for all.
            cosines = unit @ unit[best]
            nearest = np.maximum(nearest, cosines) if chosen else cosines
            chosen.append(best)
        return np.array(chosen, np.intp)


def self_information(listeners: npt.NDArray[np.integer], n_users: int) -> npt.NDArray[np.float64]:
    """Return -log2 of the share of users who listen to each artist, in bits."""
    return np.asarray(np.log2(max(n_users, 1) / np.maximum(listeners, 1)))


def _share(values: Floats) -> npt.NDArray[np.float64]:
    highest = float(values.max(initial=0.0))
    return np.asarray(values, np.float64) / highest if highest > 0 else np.zeros(len(values))

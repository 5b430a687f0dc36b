"""Sets of listening data that differ in what makes models fail: plays, tails, sizes, and how much tastes differ.

Real ones come from the folder in the environment variable LASTFM_DASK_DATA, and are skipped without it; the others are
drawn, so that nobody chose settings on them.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Taste:
    """How a set is drawn: users mix a few of the groups, and take artists by their group's and by all people's taste."""

    n_users: int
    n_artists: int
    per_user: float
    """Artists of a user, on average; lognormal."""
    n_groups: int = 20
    own: float = 0.7
    """How much of a user's list follows the groups; 0: popularity is all there is."""
    tail: float = 1.0
    """The exponent of popularity; higher: fewer artists have most listeners."""
    plays: str = "log-normal"
    """`log-normal`, `one-and-more` (most are 1) or `ratings` (1 to 5)."""
    seed: int = 0


def drawn(taste: Taste) -> csr_matrix:
    """Return a matrix of plays, shape (n_users, n_artists with a listener), float32."""
    rng = np.random.default_rng(taste.seed)
    popularity = 1.0 / np.arange(1, taste.n_artists + 1) ** taste.tail
    popularity /= popularity.sum()
    in_groups = np.empty((taste.n_groups, taste.n_artists))
    for group in in_groups:
        group[:] = popularity * rng.gamma(0.1, 10.0, taste.n_artists)
        group /= group.sum()
    lengths = np.minimum(
        rng.lognormal(np.log(taste.per_user) - 0.32, 0.8, taste.n_users), taste.n_artists / 3
    )
    rows, columns = [], []
    for user, length in enumerate(np.maximum(2, lengths).astype(int)):
        mixture = rng.dirichlet(np.full(taste.n_groups, 0.1))
        chances = taste.own * (mixture @ in_groups) + (1 - taste.own) * popularity
        keys = rng.exponential(size=taste.n_artists) / np.maximum(chances, 1e-300)
        rows.append(np.full(length, user))
        columns.append(np.argpartition(keys, length - 1)[:length])
    row, column = np.concatenate(rows), np.concatenate(columns)
    return tidy(csr_matrix((_plays(taste, rng, len(row)), (row, column))))


def _plays(taste: Taste, rng: np.random.Generator, n: int) -> np.ndarray:
    if taste.plays == "ratings":
        return rng.choice([1, 2, 3, 4, 5], n, p=[0.06, 0.11, 0.27, 0.35, 0.21]).astype(np.float32)
    if taste.plays == "one-and-more":
        return rng.geometric(0.7, n).astype(np.float32)
    return np.ceil(rng.lognormal(3, 1.5, n)).astype(np.float32)


def tidy(plays: csr_matrix) -> csr_matrix:
    """Return the users and artists that have an interaction, columns sorted, in 32 bits."""
    plays = plays[np.diff(plays.indptr) > 0]
    plays = plays[:, np.bincount(plays.indices, minlength=plays.shape[1]) > 0]
    plays.sort_indices()
    return csr_matrix(
        (plays.data.astype(np.float32), plays.indices.astype(np.int32), plays.indptr.astype(np.int32)),
        plays.shape,
    )


@cache
def _real(name: str) -> csr_matrix:
    from lastfm_dask import Dataset, IngestOptions, SchemaOptions, ingest

    folder = os.environ.get("LASTFM_DASK_DATA")
    if not folder:
        msg = "set LASTFM_DASK_DATA to the folder of the real logs"
        raise LookupError(msg)
    with tempfile.TemporaryDirectory() as place:
        output = Path(place, "real.dataset")
        if name == "hetrec":
            source = Path(folder, "hetrec_lastfm2k", "user_artists.dat")
            ingest(source, output, IngestOptions(SchemaOptions("hetrec-2k")))
        else:
            (source,) = Path(folder, "lastfm360k_head10k").glob("*.tsv")
            ingest(source, output)
        return tidy(csr_matrix(Dataset(output).user_items))


def _with_plays(plays: csr_matrix, change: Callable[[np.ndarray], np.ndarray]) -> csr_matrix:
    return csr_matrix((change(plays.data).astype(np.float32), plays.indices, plays.indptr), plays.shape)


def _ones(plays: csr_matrix) -> csr_matrix:
    return _with_plays(plays, np.ones_like)


def _top(plays: csr_matrix, n: int) -> csr_matrix:
    return tidy(plays[:, np.sort(np.argsort(-np.bincount(plays.indices), kind="stable")[:n])])


def _users(plays: csr_matrix, n: int) -> csr_matrix:
    return tidy(plays[np.sort(np.random.default_rng(5).permutation(plays.shape[0])[:n])])


def _synthetic(n_users: int) -> csr_matrix:
    from lastfm_dask import Dataset, ingest
    from lastfm_dask.synthesis.log import write_log
    from lastfm_dask.synthesis.size import LogSize

    with tempfile.TemporaryDirectory() as place:
        log, output = Path(place, "log.tsv"), Path(place, "log.dataset")
        write_log(log, LogSize.for_users(n_users))
        ingest(log, output)
        return tidy(csr_matrix(Dataset(output).user_items))


def _heavy() -> csr_matrix:
    """Return a set in which one user has half of the artists, with a thousand times the plays."""
    plays = drawn(Taste(1500, 3000, 25, seed=8)).tolil()
    rng = np.random.default_rng(8)
    for artist in rng.choice(plays.shape[1], plays.shape[1] // 2, replace=False).tolist():
        plays[0, artist] = 100_000.0
    return tidy(plays.tocsr())


SETS: dict[str, Callable[[], csr_matrix]] = {
    "hetrec": lambda: _real("hetrec"),
    "hetrec, all plays 1": lambda: _ones(_real("hetrec")),
    "hetrec, halves": lambda: _with_plays(_real("hetrec"), lambda plays: np.ceil(plays / 2)),
    "hetrec, squares": lambda: _with_plays(_real("hetrec"), lambda plays: np.minimum(plays**2, 2.0**31 - 1)),
    "hetrec, top 500": lambda: _top(_real("hetrec"), 500),
    "hetrec, top 500, plays 1": lambda: _ones(_top(_real("hetrec"), 500)),
    "hetrec, 600 users": lambda: _users(_real("hetrec"), 600),
    "hetrec, 200 users": lambda: _users(_real("hetrec"), 200),
    "hetrec, 60 users": lambda: _users(_real("hetrec"), 60),
    "hetrec, 20 users": lambda: _users(_real("hetrec"), 20),
    "real head": lambda: _real("head"),
    "ratings, 943 x 1,682": lambda: drawn(Taste(943, 1682, 106, 12, 0.6, 0.7, "ratings", seed=1)),
    "ratings, 610 x 9,000": lambda: drawn(Taste(610, 9000, 160, 15, 0.6, 0.8, "ratings", seed=2)),
    "triplets, plays near 1": lambda: drawn(Taste(3000, 12_000, 18, 60, 0.8, 0.8, "one-and-more", seed=3)),
    "triplets, short lists": lambda: drawn(Taste(5000, 9000, 6, 40, 0.8, 0.7, "one-and-more", seed=4)),
    "many users, few artists": lambda: drawn(Taste(6000, 400, 12, 8, 0.7, seed=5)),
    "long tail": lambda: drawn(Taste(1200, 20_000, 40, 30, 0.5, 1.1, seed=6)),
    "nearly popularity": lambda: drawn(Taste(2000, 3000, 25, 10, 0.1, seed=7)),
    "popularity alone": lambda: drawn(Taste(1500, 2000, 20, 10, 0.0, seed=9)),
    "one heavy user": _heavy,
    "100 users": lambda: drawn(Taste(100, 400, 15, 4, seed=10)),
    "30 users": lambda: drawn(Taste(30, 200, 12, 3, seed=11)),
    "5 users": lambda: drawn(Taste(5, 60, 12, 2, seed=12)),
    "synth, 2,000 users": lambda: _synthetic(2000),
    "synth, 1/20": lambda: _synthetic(17_967),
}
"""Each set by its name; made when it is asked for."""

"""Factors to start from: those of an earlier model, for the users and artists that both know.

What is new starts at random as usual, so the first factors depend only on the earlier model, the data and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.opening import FLOAT32, check_finite, open_array, reading
from lastfm_dask.dataset.store import open_directory
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.training.settings import TrainSettings

    Factors = npt.NDArray[np.float32]

BLOCK_NAMES = 1 << 13
"""Vectors that are copied at once."""


@dataclass(frozen=True, slots=True)
class StartModel:
    """An earlier model whose factors are the start."""

    path: Path
    fingerprint: str
    n_users: int
    n_artists: int
    factors: int

    @classmethod
    def open(cls, path: str | PathLike[str], settings: TrainSettings) -> StartModel:
        """Open a model to start from.

        Raises
        ------
        BadInputError
            If its vectors have another number of factors.
        StoreError
            If no model can be opened there.
        """
        path = Path(path)
        manifest = open_directory(path, layout.MODEL)
        with reading(path / layout.MANIFEST):
            n_users, n_artists = int(manifest.content["users"]), int(manifest.content["artists"])
            factors = int(manifest.content["settings"]["factors"])
        if factors != settings.factors:
            msg = (
                f"{path} has {factors} factors, the new model is to have {settings.factors}: train with"
                f" --factors {factors}, or start from another model"
            )
            raise BadInputError(msg, path=str(path))
        fingerprint = str(manifest.files[layout.ITEM_FACTORS].sha256)
        return cls(path, fingerprint, n_users, n_artists, factors)

    def names_bytes(self, dataset: Dataset) -> int:
        """Return what matching the names of one role holds at most: both lists, and a hash table of the old one."""
        both = ((self._names("user"), dataset.users), (self._names("artist"), dataset.artists))
        return max(3 * old.plain_bytes + new.plain_bytes + 64 * len(old) + 24 * len(new) for old, new in both)

    def fill(self, dataset: Dataset, user_factors: Factors, item_factors: Factors) -> tuple[int, int]:
        """Put the model's factors where the dataset knows the same names; return how many users and artists."""
        users = _fill(self._names("user"), self._factors("user"), dataset.users, user_factors)
        return users, _fill(self._names("artist"), self._factors("artist"), dataset.artists, item_factors)

    def _names(self, role: str) -> Vocabulary:
        return Vocabulary(
            self.path / (layout.USERS if role == "user" else layout.ARTISTS), role, self._n_rows(role)
        )

    def _n_rows(self, role: str) -> int:
        return self.n_users if role == "user" else self.n_artists

    def _factors(self, role: str) -> Factors:
        file = self.path / (layout.USER_FACTORS if role == "user" else layout.ITEM_FACTORS)
        factors: Factors = open_array(file, (self._n_rows(role), self.factors), FLOAT32)
        check_finite(file, factors)
        return factors


def _fill(old: Vocabulary, factors: Factors, new: Vocabulary, target: Factors) -> int:
    import pyarrow.compute as pc

    found = pc.index_in(new.array, value_set=old.array)
    rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    places = found.drop_null().to_numpy()
    for first in range(0, len(rows), BLOCK_NAMES):
        part = slice(first, first + BLOCK_NAMES)
        target[rows[part]] = factors[places[part]]
    return len(rows)

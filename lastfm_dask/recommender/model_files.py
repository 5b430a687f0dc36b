"""The files of a model directory, mapped: factors, names, and the matrix it was trained on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import open_directory
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.display import Shown, Table
from lastfm_dask.training.settings import TrainSettings

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt


class ModelFiles(Shown):
    """A model directory whose files have the sizes that its manifest records; each is mapped when first needed.

    Parameters
    ----------
    path : path
        What `train` published.

    Raises
    ------
    StoreError
        Where the directory is missing, unfinished, damaged, or no model.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = open_directory(self.path, layout.MODEL)
        self.settings = TrainSettings.from_dict(self.manifest.content["settings"], source=str(self.path))

    def _table(self) -> Table:
        title = f"{self.path}: {self.n_users:,} users, {self.n_artists:,} artists, {self.settings.factors} factors"
        return Table(
            title, ("setting", "value"), [(key, str(v)) for key, v in self.settings.to_dict().items()]
        )

    @property
    def n_users(self) -> int:
        """Users that the model was trained on."""
        return int(self.manifest.content["users"])

    @property
    def n_artists(self) -> int:
        """Artists that the model knows."""
        return int(self.manifest.content["artists"])

    @cached_property
    def users(self) -> Vocabulary:
        """User names and their rows."""
        return Vocabulary(self.path / layout.USERS, "user")

    @cached_property
    def artists(self) -> Vocabulary:
        """Artist names and their columns."""
        return Vocabulary(self.path / layout.ARTISTS, "artist")

    @cached_property
    def user_factors(self) -> npt.NDArray[np.float32]:
        """Shape (n_users, factors), mapped, read-only."""
        return self._map(layout.USER_FACTORS)

    @cached_property
    def item_factors(self) -> npt.NDArray[np.float32]:
        """Shape (n_artists, factors), mapped, read-only."""
        return self._map(layout.ITEM_FACTORS)

    @cached_property
    def listeners(self) -> npt.NDArray[np.int64]:
        """How many listeners each artist has, shape (n_artists,)."""
        return self.artists.numbers("listeners")

    @cached_property
    def matrix(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32]]:
        """indptr, indices and data of user_items, mapped, read-only."""
        indptr, indices, data = (self._map(name) for name in layout.USER_ITEMS)
        return indptr, indices, data

    @cached_property
    def item_norms(self) -> npt.NDArray[np.float32]:
        """The length of each artist's vector, shape (n_artists,), mapped, read-only."""
        return self._map(layout.ITEM_NORMS)

    @cached_property
    def item_gram(self) -> npt.NDArray[np.float64]:
        """Y^T Y over all artists' vectors, shape (factors, factors)."""
        gram: npt.NDArray[np.float64] = np.load(self.path / layout.ITEM_GRAM)
        return gram

    def _map(self, name: str) -> npt.NDArray[Any]:
        mapped: npt.NDArray[Any] = np.load(self.path / name, mmap_mode="r")
        # A plain array over the same map: indexing a memmap costs more than what is done with it here.
        return mapped.view(np.ndarray)

"""The files of a model directory, mapped: factors, names, and the matrix it was trained on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.opening import (
    FLOAT32,
    check_csr,
    check_finite,
    checked_row,
    damaged,
    open_array,
    open_csr,
    reading,
)
from lastfm_dask.dataset.store import open_directory
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.display import Shown, Table
from lastfm_dask.errors import BadInputError
from lastfm_dask.recommender.blend import Blend
from lastfm_dask.recommender.item_weights import ItemWeights
from lastfm_dask.training.result import ranks_by, training_facts
from lastfm_dask.training.settings import TrainSettings

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt


_ROUNDING = 1e-5
"""By how much sums of float32 values may differ from machine to machine, relative to the largest."""


class ModelFiles(Shown):
    """A model directory whose files have the sizes that its manifest records; each is mapped when first needed.

    Parameters
    ----------
    path : path
        What `train` published.

    Raises
    ------
    StoreError
        If the directory is missing, unfinished, damaged, or no model.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = open_directory(self.path, layout.MODEL)
        with reading(self.path / layout.MANIFEST):
            self.settings = _settings_of(self.manifest, self.path)

    def _table(self) -> Table:
        facts = [
            ("users", f"{self.n_users:,}"),
            ("artists", f"{self.n_artists:,}"),
            ("ranks by", ranks_by(self.manifest.content)),
            *training_facts(self.manifest.content.get("training", {})),
        ]
        settings = self.settings.to_dict()
        if settings["weighting"] != "bm25":
            settings = {name: value for name, value in settings.items() if not name.startswith("bm25")}
        rows = [(name, _setting_text(value)) for name, value in settings.items()]
        return Table(f"Model {self.path}", ("setting", "value"), rows, facts=facts)

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
        return Vocabulary(self.path / layout.USERS, "user", self.n_users)

    @cached_property
    def artists(self) -> Vocabulary:
        """Artist names and their columns."""
        return Vocabulary(self.path / layout.ARTISTS, "artist", self.n_artists)

    @cached_property
    def user_factors(self) -> npt.NDArray[np.float32]:
        """Shape (n_users, factors), mapped, read-only."""
        return self._map(layout.USER_FACTORS, self.n_users, self.settings.factors)

    @cached_property
    def item_factors(self) -> npt.NDArray[np.float32]:
        """Shape (n_artists, factors), mapped, read-only."""
        return self._map(layout.ITEM_FACTORS, self.n_artists, self.settings.factors)

    @cached_property
    def listeners(self) -> npt.NDArray[np.int64]:
        """How many listeners each artist has, shape (n_artists,)."""
        return self.artists.numbers("listeners")

    @cached_property
    def matrix(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32]]:
        """indptr, indices and data of user_items, mapped, read-only."""
        csr = open_csr(self._matrix_files, self.n_users, int(self.manifest.content["nnz"]))
        indptr, indices, data = (array.view(np.ndarray) for array in csr)
        return indptr, indices, data

    def row(self, user: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Return the columns and plays of a user's row; raises StoreError if it is damaged."""
        return checked_row(self._matrix_files, self.matrix, user, self.n_artists)

    def check_matrix(self) -> None:
        """Look through the whole matrix once; raises StoreError if it is damaged."""
        check_csr(self._matrix_files, self.matrix, self.n_artists)

    @property
    def _matrix_files(self) -> list[Path]:
        return [self.path / name for name in layout.USER_ITEMS]

    @cached_property
    def blend(self) -> Blend | None:
        """How item weights count beside the vectors; None if vectors alone rank."""
        said = self.manifest.content.get("blend")
        if said is None:
            return None
        try:
            n_weights, als, added = (float(said[key]) for key in ("n_weights", "share_als", "share_weights"))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self.path / layout.MANIFEST, f"its blend lacks {error}") from error
        csr = open_csr(self._weight_files, self.n_artists, int(n_weights))
        weights = ItemWeights(*(array.view(np.ndarray) for array in csr))
        # Older models, without popularity as a part, do not name its share.
        popularity = float(said.get("share_popularity", 0.0))
        return Blend(weights, als, added, popularity, self.listeners if popularity else None)

    @property
    def _weight_files(self) -> list[Path]:
        return [self.path / name for name in layout.ITEM_WEIGHTS]

    def check(self) -> None:
        """Look through all arrays once; raises StoreError if one is not what answers need."""
        self.check_matrix()
        arrays: dict[str, npt.NDArray[Any]] = {
            layout.USER_FACTORS: self.user_factors,
            layout.ITEM_FACTORS: self.item_factors,
            layout.ITEM_NORMS: self.item_norms,
            layout.ITEM_GRAM: self.item_gram,
        }
        for name, array in arrays.items():
            check_finite(self.path / name, array)
        self._check_statistics()
        if self.blend is not None:
            weights = self.blend.weights
            csr = (weights.indptr, weights.indices, weights.data)
            check_csr(self._weight_files, csr, self.n_artists, of_plays=False)

    def _check_statistics(self) -> None:
        """Compare what was computed from the artists' factors with these; raises StoreError if it is not theirs."""
        from lastfm_dask.training.fit import item_statistics

        gram, norms = item_statistics(self.item_factors)
        longest = float(norms.max(initial=0))
        if not np.allclose(self.item_norms, norms, rtol=0, atol=_ROUNDING * longest):
            raise damaged(self.path / layout.ITEM_NORMS, "lengths are not those of the artists' vectors")
        if not np.allclose(self.item_gram, gram, rtol=0, atol=_ROUNDING * float(gram.trace())):
            raise damaged(self.path / layout.ITEM_GRAM, "it is not the Gram matrix of the artists' vectors")

    @cached_property
    def item_norms(self) -> npt.NDArray[np.float32]:
        """The length of each artist's vector, shape (n_artists,), mapped, read-only."""
        return self._map(layout.ITEM_NORMS, self.n_artists)

    @cached_property
    def item_gram(self) -> npt.NDArray[np.float64]:
        """Y^T Y over all artists' vectors, shape (factors, factors)."""
        factors = self.settings.factors
        gram: npt.NDArray[np.float64] = np.array(
            open_array(self.path / layout.ITEM_GRAM, (factors, factors), ("<f8",))
        )
        return gram

    def _map(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        mapped: npt.NDArray[np.float32] = open_array(self.path / name, shape, FLOAT32)
        # A plain array over the same map: indexing a memmap costs more than what is done with it here.
        return mapped.view(np.ndarray)


def _setting_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _settings_of(manifest: layout.Manifest, path: Path) -> TrainSettings:
    try:
        return TrainSettings.from_dict(manifest.content["settings"], source=str(path))
    except BadInputError as error:
        raise damaged(path / layout.MANIFEST, error) from error

"""A published dataset, opened: its matrix memory-mapped, its names and statistics at hand."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import open_directory
from lastfm_dask.dataset.vocabulary import Vocabulary
from lastfm_dask.display import Shown, Table

if TYPE_CHECKING:
    from os import PathLike

    import numpy as np
    import numpy.typing as npt
    from scipy.sparse import csr_matrix


class Dataset(Shown):
    """A dataset directory that was opened and whose files have the sizes that its manifest records.

    Attributes
    ----------
    path : Path
        The directory.
    manifest : Manifest
        What it says of itself.
    statistics : dict
        The keys that `stats --json` lists, without `--user`.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = open_directory(self.path, layout.DATASET)

    def _table(self) -> Table:
        statistics = self.statistics
        top = [(row["artist"], row["listeners"], row["plays"]) for row in statistics["top_artists"]]
        rejected = sum(statistics["rejects"].values())
        title = (
            f"{self.path}: {self.n_users:,} users, {self.n_artists:,} artists, {statistics['nnz']:,} values of"
            f" {statistics['rows_read']:,} rows ({rejected:,} rejected), {statistics['plays_total']:,} plays"
        )
        return Table(title, ("artist", "listeners", "plays"), top, f"fingerprint {self.fingerprint}")

    @property
    def statistics(self) -> dict[str, Any]:
        """The dataset's statistics, as `stats --json` prints them."""
        return self.manifest.content["statistics"]  # type: ignore[no-any-return]

    @property
    def fingerprint(self) -> str:
        """What identifies the content: equal for equal bytes, however they were made."""
        return self.manifest.fingerprint

    @property
    def n_users(self) -> int:
        """Rows of the matrix."""
        return int(self.statistics["users"])

    @property
    def n_artists(self) -> int:
        """Columns of the matrix."""
        return int(self.statistics["artists"])

    @cached_property
    def users(self) -> Vocabulary:
        """User names and their rows."""
        return Vocabulary(self.path / layout.USERS, "user", self.n_users)

    @cached_property
    def artists(self) -> Vocabulary:
        """Artist names and their columns."""
        return Vocabulary(self.path / layout.ARTISTS, "artist", self.n_artists)

    @cached_property
    def user_items(self) -> csr_matrix:
        """The plays: csr_matrix, shape (n_users, n_artists), float32, memory-mapped, columns sorted.

        Looked through once when it is first asked for; raises StoreError where it is damaged.
        """
        from lastfm_dask.dataset.matrix import open_user_items

        shape = (self.n_users, self.n_artists)
        return open_user_items(self.path, shape, int(self.statistics["nnz"]), check=True)

    @cached_property
    def last_listen(self) -> npt.NDArray[np.int64] | None:
        """When each interaction was last heard: int64 milliseconds since 1970, shape (nnz,), mapped; None without times."""
        from lastfm_dask.dataset.opening import open_array

        if layout.LAST_LISTEN not in self.manifest.files:
            return None
        times: npt.NDArray[np.int64] = open_array(
            self.path / layout.LAST_LISTEN, (int(self.statistics["nnz"]),), ("<i8",)
        )
        return times

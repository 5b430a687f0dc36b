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
    from collections.abc import Iterable
    from os import PathLike
    from typing import Self

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from scipy.sparse import csr_matrix

    from lastfm_dask.dataset.opening import Csr


_TOP_SHOWN = 10
"""How many of the most heard artists a dataset shows."""


class Dataset(Shown):
    """A dataset directory that was opened and whose files have the sizes that its manifest records.

    Attributes
    ----------
    path : Path
        The directory.
    manifest : Manifest
        Its manifest.
    statistics : dict
        The keys that `stats --json` lists, without `--user`.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = open_directory(self.path, layout.DATASET)

    def _table(self) -> Table:
        statistics = self.statistics
        top = [(row["artist"], row["listeners"], row["plays"]) for row in statistics["top_artists"]]
        facts = [
            ("users", f"{self.n_users:,}"),
            ("artists", f"{self.n_artists:,}"),
            ("values", _values_text(statistics["nnz"], self.n_users * self.n_artists)),
            ("plays", f"{statistics['plays_total']:,}"),
            ("rows", _rows_text(statistics)),
            ("fingerprint", self.fingerprint[:16]),
        ]
        more = max(0, self.n_artists - _TOP_SHOWN)
        note = f"… and {more:,} more artists: statistics has the first, artists has all" if more else ""
        return Table(
            f"Dataset {self.path}", ("artist", "listeners", "plays"), top[:_TOP_SHOWN], note, facts=facts
        )

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

        Checked once, on first use; raises StoreError if it is damaged.
        """
        from lastfm_dask.dataset.matrix import open_user_items

        shape = (self.n_users, self.n_artists)
        return open_user_items(self.path, shape, int(self.statistics["nnz"]), check=True)

    @cached_property
    def csr(self) -> Csr:
        """indptr, indices and data of the matrix, mapped; looked through once when they are first asked for."""
        from lastfm_dask.dataset.opening import check_csr, open_csr

        files = [self.path / name for name in layout.USER_ITEMS]
        csr = open_csr(files, self.n_users, int(self.statistics["nnz"]))
        check_csr(files, csr, self.n_artists)
        return csr

    @cached_property
    def listens(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """When each interaction was first and last heard: int64 milliseconds since 1970, shape (nnz,), mapped.

        None without times.
        """
        from lastfm_dask.dataset.opening import open_array

        if layout.LAST_LISTEN not in self.manifest.files:
            return None
        shape = (int(self.statistics["nnz"]),)
        first, last = (open_array(self.path / name, shape, ("<i8",)) for name in layout.LISTENS)
        return first, last

    def check_listens(self) -> None:
        """Look through the times once, block by block; raises StoreError where a first listen is after the last."""
        from lastfm_dask.dataset.arrays import BLOCK_NNZ
        from lastfm_dask.dataset.opening import damaged

        if self.listens is None:
            return
        first, last = self.listens
        for start in range(0, len(first), BLOCK_NNZ):
            block = slice(start, start + BLOCK_NNZ)
            if bool((first[block] > last[block]).any()):
                problem = f"a first listen after value {start} is later than the last one"
                raise damaged(self.path / layout.LISTENS[0], problem)

    @property
    def last_listen(self) -> npt.NDArray[np.int64] | None:
        """When each interaction was last heard, as in `listens`; None without times."""
        return None if self.listens is None else self.listens[1]

    def to_arrow(self) -> pa.Table:
        """Return all values as an Arrow table in memory.

        Returns
        -------
        pyarrow.Table
            Columns user and artist (dictionaries of string) and plays (int64, or float32 where values are real), one row
            a stored value, in the order of the matrix.
        """
        from lastfm_dask.dataset.interactions import to_arrow

        return to_arrow(self)

    def to_pandas(self) -> Any:
        """Return all values as a pandas DataFrame in memory: `to_arrow`, with users and artists as categories."""
        return self.to_arrow().to_pandas()

    def interactions(self) -> Any:
        """Return all values as a lazy `dask.dataframe.DataFrame`: user, artist, plays; some users a partition."""
        from lastfm_dask.dataset.frames import interactions

        return interactions(self)

    @classmethod
    def from_csr(
        cls, user_items: Any, users: Iterable[object], artists: Iterable[object], output: str | PathLike[str]
    ) -> Self:
        """Publish a dataset directory of a matrix in memory, and open it.

        Parameters
        ----------
        user_items : sparse matrix or array, shape (n_users, n_artists)
            Plays or other positive values; stored as float32. Row i is users[i], column j is artists[j].
        users, artists : iterable
            A distinct name for each row and column.
        output : path
            The dataset directory to make; it must not exist.

        Raises
        ------
        BadInputError
            A value is not positive and finite, or names do not fit the shape.
        StoreError
            The output exists or can't be written.

        Examples
        --------
        >>> from scipy.sparse import csr_matrix
        >>> plays = csr_matrix([[3, 0], [1, 2]])
        >>> Dataset.from_csr(plays, ["ann", "bo"], ["Muse", "Air"], example_folder / "own.dataset").n_users
        2
        """
        from lastfm_dask.dataset.from_csr import write_csr

        return cls(write_csr(user_items, users, artists, output))


def _values_text(nnz: int, n_cells: int) -> str:
    return f"{nnz:,} stored, {nnz / n_cells:.3g} of the matrix" if n_cells else "none"


def _rows_text(statistics: dict[str, Any]) -> str:
    rejected = sum(statistics["rejects"].values())
    return f"{statistics['rows_read']:,} read, {statistics['rows_kept']:,} kept, {rejected:,} rejected"

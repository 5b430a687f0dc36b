"""The rows that can't be recovered from the matrix: rows that were summed, and plays that float32 rounds.

With them, a dataset can be appended to without its source. An entry is a user, an artist, plays (floats by their bits),
and the number of rows with these, in the matrix's order, then by plays. Each finished chunk is written to a file of its
own, so that nothing accumulates in memory.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.ingestion import long_rows

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from lastfm_dask.dataset.dataset import Dataset

EXACT_PLAYS = 1 << 24
"""Whole numbers up to this one are exact in float32."""
_COLUMNS = 4


class SummedRows:
    """Collects entries by chunk, in any order, from any thread.

    Parameters
    ----------
    folder : Path
        Where the chunks lie until they are written as one file.
    column_bits : int
        How many bits of a pair's key are the artist.
    is_real : bool
        Whether plays are real values, which float32 does not round.
    """

    def __init__(self, folder: Path, column_bits: int, *, is_real: bool) -> None:
        self._folder, self._bits, self._is_real = folder, column_bits, is_real

    def add(
        self,
        first: int,
        pairs: npt.NDArray[np.uint64],
        values: npt.NDArray[Any],
        is_first: npt.NDArray[np.bool_],
    ) -> None:
        """Add a chunk of users from `first` on: its rows by pair and plays, and whether each begins a pair."""
        import numpy as np

        rounded = not self._is_real and int(values.max(initial=0)) > EXACT_PLAYS
        if is_first.all() and not rounded:
            return
        chosen = ~is_first
        chosen[:-1] |= ~is_first[1:]
        if rounded:
            chosen |= values > EXACT_PLAYS
        pairs, values = pairs[chosen], values[chosen]
        new = np.ones(len(pairs), np.bool_)
        new[1:] = (pairs[1:] != pairs[:-1]) | (values[1:] != values[:-1])
        places = np.flatnonzero(new)
        entries = np.empty((len(places), _COLUMNS), np.int32)
        entries[:, 0] = first + (pairs[places] >> np.uint64(self._bits)).astype(np.int64)
        entries[:, 1] = pairs[places] & np.uint64((1 << self._bits) - 1)
        chosen_values = values[places]
        entries[:, 2] = chosen_values.astype(np.float32).view(np.int32) if self._is_real else chosen_values
        entries[:, 3] = np.diff(np.append(places, len(pairs)))
        entries.tofile(self._path(first))

    def add_long_row(
        self, user: int, columns: npt.NDArray[np.integer], plays: npt.NDArray[np.int32], n_artists: int
    ) -> None:
        """Add one user's rows, which are read block by block."""
        import numpy as np

        with self._path(user).open("wb") as file:
            for artists, found, counts in long_rows.repeated(columns, plays, n_artists, EXACT_PLAYS):
                users = np.full(len(artists), user)
                np.stack((users, artists, found, counts), axis=1).astype(np.int32).tofile(file)

    def _path(self, first: int) -> Path:
        return self._folder / f"summed.{first:010d}"

    def write(self, target: Path) -> None:
        """Write all entries as one array of shape (n, 4), int32."""
        import numpy as np

        paths = sorted(self._folder.glob("summed.*"))
        n_entries = sum(path.stat().st_size for path in paths) // (4 * _COLUMNS)
        described = {"descr": "<i4", "fortran_order": False, "shape": (n_entries, _COLUMNS)}
        with target.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, described)
            for path in paths:
                with path.open("rb") as chunk:
                    shutil.copyfileobj(chunk, file, 1 << 20)
                path.unlink()


def open_summed(dataset: Dataset) -> npt.NDArray[np.int32]:
    """Return a dataset's entries, mapped, shape (n, 4), looked through once.

    Raises
    ------
    StoreError
        If users fall or are out of range, artists are out of range, or an entry has more rows than the dataset.
    """
    import numpy as np

    from lastfm_dask.dataset.arrays import BLOCK_VALUES
    from lastfm_dask.dataset.opening import damaged, open_array

    file = dataset.path / layout.SUMMED
    entries: npt.NDArray[np.int32] = open_array(file, (None, _COLUMNS), ("<i4",))
    added = (dataset.manifest.content.get("reconciliation") or {}).get("rows_added", 0)
    most_rows = dataset.statistics["rows_kept"] + added
    tops = np.array([dataset.n_users, dataset.n_artists, 1 << 31, most_rows + 1])
    n_rows = 0
    for start in range(0, len(entries), BLOCK_VALUES):
        block = np.asarray(entries[max(start - 1, 0) : start + BLOCK_VALUES], np.int64)
        if bool((block < [0, 0, -(1 << 31), 1]).any() or (block >= tops).any()):
            raise damaged(file, f"an entry after {start} is out of range")
        if bool((block[1:, 0] < block[:-1, 0]).any()):
            raise damaged(file, f"users after entry {start} are not in order")
        n_rows += int(entries[start : start + BLOCK_VALUES, 3].sum(dtype=np.int64))
    if n_rows > most_rows:
        raise damaged(file, f"its entries have {n_rows} rows, the dataset {most_rows}")
    return entries

"""A dataset's values as a lazy dask.dataframe, for people who want to go on in Dask. Imports Dask and pandas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import BLOCK_NNZ, row_blocks
from lastfm_dask.dataset.interactions import is_real, plays_of

if TYPE_CHECKING:
    from lastfm_dask.dataset.dataset import Dataset


def interactions(dataset: Dataset, block_nnz: int = BLOCK_NNZ) -> Any:
    """Return the values as a `dask.dataframe.DataFrame` (see `Dataset.interactions`)."""
    import dask.dataframe as dd

    indptr = np.load(dataset.path / layout.INDPTR, mmap_mode="r")
    task = _ReadUsers(str(dataset.path.absolute()), is_real(dataset))
    blocks = list(row_blocks(indptr, block_nnz)) or [(0, 0)]
    from_map: Any = dd.from_map
    return from_map(task, blocks, meta=task((0, 0)), label="dataset-interactions")


@dataclass(frozen=True, slots=True)
class _ReadUsers:
    """The task that reads the values of some users."""

    path: str
    is_real: bool

    def __call__(self, users: tuple[int, int]) -> Any:
        from pathlib import Path

        import pandas as pd
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        path, (first, end) = Path(self.path), users
        indptr, indices, data = (np.load(path / name, mmap_mode="r") for name in layout.USER_ITEMS)
        place = slice(int(indptr[first]), int(indptr[end]))
        names = {}
        for role, file in (("user", layout.USERS), ("artist", layout.ARTISTS)):
            with ParquetFile(path / file, memory_map=True) as table:
                names[role] = table.read(columns=[role]).column(0).cast(pa.string())
        rows = np.repeat(np.arange(first, end), np.diff(indptr[first : end + 1]))
        columns = {
            "user": names["user"].take(pa.array(rows)),
            "artist": names["artist"].take(pa.array(np.array(indices[place]))),
            "plays": plays_of(data[place], real=self.is_real),
        }
        return pa.table(columns).to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)

"""A dataset's values as a lazy dask.dataframe, for people who want to go on in Dask. Imports Dask and pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import BLOCK_NNZ, row_blocks
from lastfm_dask.dataset.interactions import is_real, plays_of
from lastfm_dask.dataset.opening import open_csr
from lastfm_dask.dataset.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lastfm_dask.dataset.dataset import Dataset


def interactions(dataset: Dataset, block_nnz: int = BLOCK_NNZ) -> Any:
    """Return the values as a `dask.dataframe.DataFrame` (see `Dataset.interactions`)."""
    import dask.dataframe as dd

    indptr, _, _ = dataset.csr
    task = _ReadUsers(str(dataset.path.absolute()), len(indptr) - 1, is_real(dataset))
    blocks = list(row_blocks(indptr, block_nnz)) or [(0, 0)]
    from_map: Any = dd.from_map
    return from_map(task, blocks, meta=task((0, 0)), label="dataset-interactions")


@dataclass(frozen=True, slots=True)
class _ReadUsers:
    """The task that reads the values of some users."""

    path: str
    n_users: int
    is_real: bool

    def __call__(self, users: tuple[int, int]) -> Any:
        import pandas as pd
        import pyarrow as pa

        path, (first, end) = Path(self.path), users
        # Looked through when the frame was asked for.
        indptr, indices, data = open_csr([path / name for name in layout.USER_ITEMS], self.n_users, None)
        place = slice(int(indptr[first]), int(indptr[end]))
        rows = np.repeat(np.arange(first, end), np.diff(indptr[first : end + 1]))
        columns = {
            "user": Vocabulary(path / layout.USERS, "user").array.take(pa.array(rows)),
            "artist": Vocabulary(path / layout.ARTISTS, "artist").array.take(
                pa.array(np.array(indices[place]))
            ),
            "plays": plays_of(data[place], real=self.is_real),
        }
        return pa.table(columns).to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)

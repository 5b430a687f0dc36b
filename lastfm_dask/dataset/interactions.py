"""A dataset's values as rows again: user, artist, plays, in the order of the matrix, some at a time or as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lastfm_dask.dataset.arrays import BLOCK_NNZ, row_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.dataset.dataset import Dataset


def is_real(dataset: Dataset) -> bool:
    """Whether the values are real numbers, not whole plays."""
    settings = dataset.manifest.content.get("settings") or {}
    return settings.get("values") == "float" and not settings.get("events")


def value_blocks(
    dataset: Dataset, block_nnz: int = BLOCK_NNZ
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], pa.Array, slice]]:
    """Yield the users, the artists and the plays of consecutive values, and where these lie in the matrix."""
    indptr, indices, data = dataset.csr
    for first, end in row_blocks(indptr, block_nnz):
        place = slice(int(indptr[first]), int(indptr[end]))
        users = np.repeat(np.arange(first, end, dtype=np.int32), np.diff(indptr[first : end + 1]))
        yield users, indices[place].astype(np.int32), plays_of(data[place], real=is_real(dataset)), place


def plays_of(values: npt.NDArray[np.float32], *, real: bool) -> pa.Array:
    """Return values as people expect them: whole plays as int64, real values as float32."""
    import pyarrow as pa

    return pa.array(np.array(values) if real else values.astype(np.int64))


def to_arrow(dataset: Dataset) -> pa.Table:
    """Return all values as a table whose users and artists are dictionaries (see `Dataset.to_arrow`)."""
    import pyarrow as pa

    from lastfm_dask.memory.imports import keep_pandas_out

    keep_pandas_out()
    users, artists = dataset.users.array, dataset.artists.array
    kind = pa.dictionary(pa.int32(), pa.string())
    plays = pa.float32() if is_real(dataset) else pa.int64()
    schema = pa.schema([("user", kind), ("artist", kind), ("plays", plays)])
    batches = [
        pa.record_batch(
            [
                pa.DictionaryArray.from_arrays(rows, users),
                pa.DictionaryArray.from_arrays(columns, artists),
                values,
            ],
            schema=schema,
        )
        for rows, columns, values, _ in value_blocks(dataset)
    ]
    return pa.Table.from_batches(batches, schema)

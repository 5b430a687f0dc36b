"""The Parquet file of a synthetic log: its row groups, and names that are stored once a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lastfm_dask.synthesis import parquet
from lastfm_dask.synthesis.parquet import ParquetLog

if TYPE_CHECKING:
    from pathlib import Path

NAME_BYTES = 100


def block(number: int, n_rows: int) -> list[pa.Array]:
    """Return a block of rows whose names no other block has; two rows a user."""
    names = [f"{number}-{i // 2}".ljust(NAME_BYTES, ".") for i in range(n_rows)]
    texts = pa.array(names).dictionary_encode()
    return [texts, texts, texts, pa.array(range(n_rows), pa.int32())]


def test_each_row_group_stores_each_of_its_names_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 1000)
    blocks = [block(number, n_rows) for number, n_rows in enumerate((700, 700, 2500, 50))]
    with ParquetLog(tmp_path / "log.parquet") as log:
        for columns in blocks:
            log.add(columns)
    file = pq.ParquetFile(tmp_path / "log.parquet", read_dictionary=["user", "mbid", "artist"])
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [1000, 1000, 1000, 950]
    written = [row for columns in blocks for row in zip(*(c.to_pylist() for c in columns), strict=True)]
    assert list(zip(*file.read().to_pydict().values(), strict=True)) == written
    for number, group in enumerate(groups):
        assert group.column(0).total_uncompressed_size < 0.6 * NAME_BYTES * group.num_rows
        (users,) = file.read_row_group(number, columns=["user"]).column("user").chunks
        assert users.dictionary.to_pylist() == users.unique().to_pylist()

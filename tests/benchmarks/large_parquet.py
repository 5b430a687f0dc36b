"""A Parquet log of a billion rows, and what DuckDB and Polars make of it where memory is short.

    python tests/benchmarks/large_parquet.py write FOLDER [--rows N]
    python tests/benchmarks/large_parquet.py duckdb|polars FOLDER OUTPUT [--memory-limit 700MB]

Run the readers and `lastfm-dask ingest FOLDER --columns user=uid,artist=item_id,plays=plays -o OUTPUT` under one
memory limit, such as `systemd-run --scope -p MemoryMax=1G`. The readers leave users, artists and summed pairs as Parquet
files; a CSR matrix of their own would not fit.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_USER = 333
ARTISTS_A_ROW = 1 / 500
GROUP_ROWS = 1 << 20
FILE_GROUPS = 64


def rows(first_user: int, n_users: int, n_artists: int, generator: np.random.Generator) -> pa.Table:
    """Return the rows of users that follow each other: a few artists heard by many, many by few."""
    import pyarrow as pa

    lengths = generator.poisson(ROWS_A_USER, n_users)
    n_rows = int(lengths.sum())
    # Popularity falls like a power of the rank; ids are spread, so that they do not give it away.
    ranks = (n_artists ** generator.random(n_rows)).astype(np.int64)
    return pa.table(
        {
            "uid": np.repeat(np.arange(first_user, first_user + n_users, dtype=np.int32), lengths),
            "item_id": (ranks * 7_368_787 % n_artists).astype(np.int32),
            "plays": generator.geometric(0.05, n_rows).astype(np.int32),
        }
    )


def write(folder: Path, n_rows: int) -> dict[str, Any]:
    """Write the log: files of up to 64 row groups."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    users_a_group = GROUP_ROWS // ROWS_A_USER
    groups = range(0, n_rows // ROWS_A_USER, users_a_group)
    n_artists, written = max(int(n_rows * ARTISTS_A_ROW), 1), 0
    for first in range(0, len(groups), FILE_GROUPS):
        part = [
            rows(user, users_a_group, n_artists, generator) for user in groups[first : first + FILE_GROUPS]
        ]
        with pq.ParquetWriter(folder / f"part-{first // FILE_GROUPS:04d}.parquet", part[0].schema) as writer:
            for table in part:
                writer.write_table(table)
                written += len(table)
    return {"rows": written, "bytes": sum(path.stat().st_size for path in folder.iterdir())}


def read_duckdb(folder: Path, output: Path, memory_limit: str) -> dict[str, Any]:
    """Count and map with DuckDB, spilling to the output folder."""
    import duckdb

    connection = duckdb.connect(str(output / "log.duckdb"))
    connection.execute(f"set memory_limit = '{memory_limit}'")
    connection.execute(f"set temp_directory = '{output / 'spill'}'")
    connection.execute("set preserve_insertion_order = false")
    source = f"read_parquet('{folder}/*.parquet')"
    for name, key in (("users", "uid"), ("artists", "item_id")):
        connection.execute(
            f"copy (select {key}, count(*) n_rows, sum(plays)::bigint plays from {source} group by {key}"
            f" order by {key}) to '{output / name}.parquet' (format parquet)"
        )
    connection.execute(
        f"copy (select uid, item_id, sum(plays)::bigint plays from {source} group by uid, item_id"
        f" order by uid, item_id) to '{output / 'pairs'}.parquet' (format parquet)"
    )
    return {}


def read_polars(folder: Path, output: Path, _memory_limit: str) -> dict[str, Any]:
    """Count and map with Polars' streaming engine."""
    import polars as pl

    source = pl.scan_parquet(folder / "*.parquet")
    for name, keys in (("users", ["uid"]), ("artists", ["item_id"]), ("pairs", ["uid", "item_id"])):
        source.group_by(keys).agg(n_rows=pl.len(), plays=pl.col("plays").sum()).sort(keys).sink_parquet(
            output / f"{name}.parquet"
        )
    return {}


def counts(output: Path) -> dict[str, Any]:
    """Return what a reader found, from the tables that it left."""
    import pyarrow.parquet as pq

    return {
        name: pq.read_metadata(output / f"{name}.parquet").num_rows for name in ("users", "artists", "pairs")
    }


def main() -> None:
    """Write or read, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("write", "duckdb", "polars"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=1_000_000_000)
    parser.add_argument("--memory-limit", default="700MB", help="of DuckDB; Polars takes none")
    options = parser.parse_args()
    begin = time.monotonic()
    if options.part == "write":
        found = write(options.folder, options.rows)
    else:
        if options.output is None:
            parser.error("a reader needs OUTPUT")
        options.output.mkdir(parents=True)
        read = read_duckdb if options.part == "duckdb" else read_polars
        read(options.folder, options.output, options.memory_limit)
        found = counts(options.output)
    print(json.dumps({**found, "wall_s": round(time.monotonic() - begin, 1)}))  # noqa: T201 - a script's result


if __name__ == "__main__":
    main()

"""Polars: one streaming scan into a frame of codes' sources, then lazy aggregations over it."""

from __future__ import annotations

import numpy as np
import polars as pl
from common import TOP, arguments, deliver, describe, save_matrix


def main() -> None:
    """Read, count, map and assemble."""
    source, folder = arguments()
    schema = {"user": pl.String, "mbid": pl.String, "artist": pl.String, "plays": pl.Int64}
    frame = (
        pl.scan_csv(
            source,
            separator="\t",
            has_header=False,
            quote_char=None,
            schema=schema,
            empty_string_is_null=False,
        )
        .select("user", pl.col("artist").str.to_lowercase(), "plays")
        .collect(engine="streaming")
    )
    rows_read = frame.height
    frame = frame.filter((pl.col("plays") > 0) & (pl.col("artist") != "")).with_row_index("row").lazy()
    users = (
        frame.group_by("user")
        .agg(
            pl.col("row").min(),
            n_artists=pl.len(),
            plays=pl.col("plays").sum(),
            median_plays=pl.col("plays").median(),
        )
        .sort("row")
        .drop("row")
        .with_row_index("i")
    )
    artists = (
        frame.group_by("artist")
        .agg(pl.col("row").min(), listeners=pl.len(), plays=pl.col("plays").sum())
        .sort("row")
        .drop("row")
        .with_row_index("j")
    )
    found_users, found_artists = pl.collect_all([users, artists], engine="streaming")
    codes = (
        frame.join(found_users.lazy().select("user", "i"), on="user")
        .join(found_artists.lazy().select("artist", "j"), on="artist")
        .select("i", "j", "plays")
        .collect(engine="streaming")
    )
    del frame
    found_users.drop("i").write_parquet(folder / "users.parquet")
    found_artists.drop("j").write_parquet(folder / "artists.parquet")
    i, j = codes["i"].to_numpy().view(np.int32), codes["j"].to_numpy().view(np.int32)
    plays = codes["plays"].cast(pl.Float32).to_numpy()
    nnz = save_matrix(folder, i, j, plays, (found_users.height, found_artists.height))
    deliver(
        folder,
        {
            "rows_read": rows_read,
            "rows_kept": codes.height,
            "users": found_users.height,
            "artists": found_artists.height,
            "nnz": nnz,
            "plays_total": found_artists["plays"].sum(),
            "played_once": int((codes["plays"] == 1).sum()),
            "top_artists": found_artists.top_k(TOP, by="listeners")
            .select("artist", "listeners", "plays")
            .to_dicts(),
            "artists_per_user": describe(found_users["n_artists"].to_numpy()),
            "median_plays_per_user": describe(found_users["median_plays"].to_numpy()),
        },
    )


if __name__ == "__main__":
    main()

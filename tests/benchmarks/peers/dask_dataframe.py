"""dask.dataframe as its docs suggest: a local cluster of one worker a processor, `categorize`, `persist`, groupby.

Its categories are in no order that anybody asked for, not that of first appearance; taken as it is.
"""

from __future__ import annotations

import csv
import os

import dask.dataframe as dd
import numpy as np
import pandas as pd
from common import arguments, deliver, save_matrix, save_pandas
from dask.distributed import Client, LocalCluster


def main() -> None:
    """Read, count, map and assemble."""
    source, folder = arguments()
    with (
        LocalCluster(
            n_workers=len(os.sched_getaffinity(0)), threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        frame = dd.read_csv(
            source,
            sep="\t",
            header=None,
            names=["user", "mbid", "artist", "plays"],
            usecols=["user", "artist", "plays"],
            dtype={"user": "string[pyarrow]", "artist": "string[pyarrow]", "plays": "int64"},
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            lineterminator="\n",
            blocksize="64MB",
        )
        frame = frame[(frame.plays > 0) & (frame.artist != "")]
        frame["artist"] = frame.artist.str.lower()
        frame = frame.categorize(columns=["user", "artist"]).persist()
        names = {column: frame[column].cat.categories for column in ("user", "artist")}
        codes = frame.assign(user=frame.user.cat.codes, artist=frame.artist.cat.codes).persist()
        del frame
        by_user = codes.groupby("user").plays.agg(["count", "sum"]).compute().sort_index()
        medians = codes.groupby("user").plays.median().compute().sort_index()
        by_artist = codes.groupby("artist").plays.agg(["count", "sum"]).compute().sort_index()
        rows = codes.compute()
    users = pd.DataFrame(
        {
            "user": names["user"],
            "n_artists": by_user["count"],
            "plays": by_user["sum"],
            "median_plays": medians.to_numpy(),
        }
    )
    artists = pd.DataFrame(
        {"artist": names["artist"], "listeners": by_artist["count"], "plays": by_artist["sum"]}
    )
    shape = (len(users), len(artists))
    nnz = save_matrix(folder, rows["user"], rows["artist"], rows["plays"].astype(np.float32), shape)
    counts = {"rows_kept": len(rows), "nnz": nnz, "played_once": int((rows["plays"] == 1).sum())}
    deliver(folder, counts | save_pandas(folder, users, artists))


if __name__ == "__main__":
    main()

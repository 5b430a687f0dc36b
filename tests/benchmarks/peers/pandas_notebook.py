"""pandas, as in the notebook: one frame, default quoting (which loses rows, and is the notebook's)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from common import arguments, deliver, save_matrix, save_pandas


def main() -> None:
    """Read, count, map and assemble."""
    source, folder = arguments()
    # The line terminator is a help that the notebook had no need of: a bare carriage return would break the frame.
    frame = pd.read_csv(
        source,
        sep="\t",
        header=None,
        names=["user", "mbid", "artist", "plays"],
        usecols=["user", "artist", "plays"],
        na_filter=False,
        lineterminator="\n",
    )
    rows_read = len(frame)
    frame = frame[(frame["plays"] > 0) & (frame["artist"] != "")]
    frame["artist"] = frame["artist"].str.lower()
    by_user = frame.groupby("user", sort=False)["plays"]
    users = by_user.agg(n_artists="count", plays="sum", median_plays="median").reset_index()
    by_artist = frame.groupby("artist", sort=False)["plays"]
    artists = by_artist.agg(listeners="count", plays="sum").reset_index()
    rows = pd.Index(users["user"]).get_indexer(frame["user"])
    columns = pd.Index(artists["artist"]).get_indexer(frame["artist"])
    plays = frame["plays"].to_numpy(np.float32)
    nnz = save_matrix(folder, rows, columns, plays, (len(users), len(artists)))
    counts = {"rows_read": rows_read, "rows_kept": len(frame), "nnz": nnz}
    counts["played_once"] = int((frame["plays"] == 1).sum())
    deliver(folder, counts | save_pandas(folder, users, artists))


if __name__ == "__main__":
    main()

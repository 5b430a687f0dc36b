"""The logic of implicit's `datasets/lastfm.py`: pandas, categories in sorted order, one matrix. No statistics.

Two changes: a bare carriage return ends no line (the original stops there), and the arrays go to `.npy` files in place
of HDF5. Names are not lower-cased, as in the original.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from common import arguments, deliver, save_matrix


def main() -> None:
    """Read, map and assemble."""
    source, folder = arguments()
    frame = pd.read_table(
        source, usecols=[0, 2, 3], names=["user", "artist", "plays"], na_filter=False, lineterminator="\n"
    )
    frame["user"] = frame["user"].astype("category")
    frame["artist"] = frame["artist"].astype("category")
    users, artists = frame["user"].cat, frame["artist"].cat
    shape = (len(users.categories), len(artists.categories))
    plays = frame["plays"].astype(np.float32)
    nnz = save_matrix(folder, users.codes.copy(), artists.codes.copy(), plays, shape)
    pd.DataFrame({"user": users.categories}).to_parquet(folder / "users.parquet")
    pd.DataFrame({"artist": artists.categories}).to_parquet(folder / "artists.parquet")
    deliver(folder, {"rows_kept": len(frame), "users": shape[0], "artists": shape[1], "nnz": nnz})


if __name__ == "__main__":
    main()

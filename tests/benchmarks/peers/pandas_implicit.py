"""The notebook's whole way: one pandas frame, a matrix in memory, implicit's `fit`. SOURCE and a folder are its arguments."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
from common import arguments
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import coo_matrix
from threadpoolctl import threadpool_limits

FACTORS, ITERATIONS = 128, 15


def main() -> None:
    """Read, map, assemble, fit, and write the factors; print the seconds."""
    source, folder = arguments()
    frame = pd.read_csv(
        source,
        sep="\t",
        header=None,
        names=["user", "mbid", "artist", "plays"],
        usecols=["user", "artist", "plays"],
        na_filter=False,
        lineterminator="\n",
    )
    frame = frame[(frame["plays"] > 0) & (frame["artist"] != "")]
    users, _ = pd.factorize(frame["user"])
    artists, _ = pd.factorize(frame["artist"].str.lower())
    user_items = coo_matrix((frame["plays"].to_numpy(np.float32), (users, artists))).tocsr()
    del frame
    model = AlternatingLeastSquares(
        factors=FACTORS, regularization=0.01, iterations=ITERATIONS, random_state=1
    )
    begin = time.perf_counter()
    with threadpool_limits(1, "blas"):
        model.fit(user_items, show_progress=False)
    fit_s = time.perf_counter() - begin
    np.save(folder / "user_factors.npy", model.user_factors)
    np.save(folder / "item_factors.npy", model.item_factors)
    print(json.dumps({"iterations": ITERATIONS, "fit_s": fit_s}))  # noqa: T201 - this is the peer's answer


if __name__ == "__main__":
    main()

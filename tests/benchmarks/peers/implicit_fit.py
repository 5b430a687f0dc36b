"""implicit's `fit` as its docs show it, on arrays in memory. DATASET, a folder, and the iterations are its arguments."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits


def main() -> None:
    """Load the matrix, fit, write the factors; print the seconds."""
    dataset, output, iterations = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    indptr, indices, data = (
        np.load(dataset / "user_items" / f"{name}.npy") for name in ("indptr", "indices", "data")
    )
    user_items = csr_matrix((data, indices, indptr))
    iteration_s: list[float] = []
    model = AlternatingLeastSquares(factors=100, regularization=0.01, iterations=iterations, random_state=1)
    begin = time.perf_counter()
    with threadpool_limits(1, "blas"):
        model.fit(
            user_items, show_progress=False, callback=lambda _, elapsed_s, __: iteration_s.append(elapsed_s)
        )
    fit_s = time.perf_counter() - begin
    output.mkdir()
    np.save(output / "user_factors.npy", model.user_factors)
    np.save(output / "item_factors.npy", model.item_factors)
    answer = {"iteration_s": iteration_s, "fit_s": fit_s}
    print(json.dumps(answer))  # noqa: T201 - this is the peer's answer


if __name__ == "__main__":
    main()

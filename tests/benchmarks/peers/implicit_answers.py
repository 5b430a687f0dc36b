"""implicit's answers from its own saved model, all in memory, with names. Its arguments: what to do, MODEL.npz, DATASET.

`one`: load and recommend to one user. `open`: then time one answer after the other. `all_users OUT`: recommend to all
users in one batch call and write a Parquet file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

N = 10
QUESTIONS = 200


def answer(model: Any, user_items: csr_matrix, artists: Any, user: int) -> list[tuple[str, float]]:
    """Recommend to one user, by name."""
    found, scores = model.recommend(user, user_items[user], N=N)
    names = artists.take(pa.array(found)).to_pylist()
    return list(zip(names, scores.tolist(), strict=True))


def in_turn(model: Any, user_items: csr_matrix, artists: Any) -> dict[str, float]:
    """Answer one user after the other and return milliseconds an answer."""
    seconds = []
    for user in np.random.default_rng(0).integers(0, user_items.shape[0], QUESTIONS).tolist():
        begin = time.perf_counter()
        answer(model, user_items, artists, user)
        seconds.append(time.perf_counter() - begin)
    return {
        "answer_ms": float(np.median(seconds)) * 1000,
        "slow_answer_ms": float(np.quantile(seconds, 0.95)) * 1000,
    }


def all_users(model: Any, user_items: csr_matrix, artists: Any, users: Any, target: Path) -> dict[str, float]:
    """Answer all users at once and return users a second."""
    begin = time.perf_counter()
    found, scores = model.recommend(np.arange(user_items.shape[0]), user_items, N=N)
    flat = found.ravel()
    table = {
        "user": users.take(pa.array(np.repeat(np.arange(len(found)), N))),
        "artist": artists.take(pa.array(flat, mask=flat < 0)),
        "score": scores.ravel(),
    }
    pq.write_table(pa.table(table), target)
    return {"users_per_s": len(found) / (time.perf_counter() - begin)}


def main() -> None:
    """Load, then do what was asked for."""
    what, npz, dataset = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    model = AlternatingLeastSquares.load(npz)
    indptr, indices, data = (
        np.load(dataset / "user_items" / f"{name}.npy") for name in ("indptr", "indices", "data")
    )
    user_items = csr_matrix((data, indices, indptr), shape=(len(model.user_factors), len(model.item_factors)))
    users = pq.read_table(dataset / "users.parquet", columns=["user"])["user"].combine_chunks()
    artists = pq.read_table(dataset / "artists.parquet", columns=["artist"])["artist"].combine_chunks()
    with threadpool_limits(1, "blas"):
        if what == "one":
            said: Any = {"items": answer(model, user_items, artists, len(users) // 2)}
        elif what == "open":
            said = in_turn(model, user_items, artists)
        else:
            said = all_users(model, user_items, artists, users, Path(sys.argv[4]))
    print(json.dumps(said, ensure_ascii=False))  # noqa: T201 - this is the peer's answer


if __name__ == "__main__":
    main()

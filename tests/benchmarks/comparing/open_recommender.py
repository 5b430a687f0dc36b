"""One answer after the other from an open `Recommender`: milliseconds each. A script; MODEL is its argument."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from lastfm_dask import Recommender

QUESTIONS = 200


def main() -> None:
    """Ask for the same users as the peer does, and print the median and the slow ones."""
    model = Recommender(sys.argv[1])
    numbers = np.random.default_rng(0).integers(0, model.n_users, QUESTIONS).tolist()
    names = [model.users.name(number) for number in numbers]
    model.recommend(names[0])
    seconds = []
    for name in names:
        begin = time.perf_counter()
        model.recommend(name)
        seconds.append(time.perf_counter() - begin)
    said = {
        "answer_ms": float(np.median(seconds)) * 1000,
        "slow_answer_ms": float(np.quantile(seconds, 0.95)) * 1000,
    }
    print(json.dumps(said))  # noqa: T201 - this is the script's answer


if __name__ == "__main__":
    main()

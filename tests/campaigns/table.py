"""What a campaign found, as one table; its size and seed come from the environment."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def count(name: str, default: int) -> int:
    """Return how many cases are asked for: `LASTFM_DASK_CAMPAIGN`, or `LASTFM_DASK_CAMPAIGN_NAME` for one alone."""
    for variable in (f"LASTFM_DASK_CAMPAIGN_{name.upper()}", "LASTFM_DASK_CAMPAIGN"):
        if variable in os.environ:
            return int(os.environ[variable])
    return default


def seed() -> int:
    """Return the seed: `LASTFM_DASK_SEED`, 0 unless given."""
    return int(os.environ.get("LASTFM_DASK_SEED", "0"))


class Table:
    """Counts of cases by row and outcome, printed at the end; what went wrong is kept in full."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.cells: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def cases(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield numbers of cases, until `LASTFM_DASK_CAMPAIGN_S` seconds have passed where that is given."""
        most_s = float(os.environ.get("LASTFM_DASK_CAMPAIGN_S", "inf"))
        began = time.monotonic()
        for number in numbers:
            if time.monotonic() - began > most_s:
                return
            yield number

    def add(self, row: object, outcome: object) -> None:
        """Count one case."""
        self.cells[str(row), str(outcome)] += 1

    def fail(self, case: str) -> None:
        """Keep a case that went wrong, and print it at once."""
        print(f"\n{case}", flush=True)  # noqa: T201
        self.wrong.append(case)

    def show(self) -> None:
        """Print the table, and fail where something went wrong."""
        rows = sorted({row for row, _ in self.cells})
        outcomes = sorted({outcome for _, outcome in self.cells})
        n = sum(self.cells.values())
        lines = [f"\n{self.title}: {n} cases, seed {seed()}, {len(self.wrong)} wrong"]
        lines.append(f"| case | {' | '.join(outcomes)} |\n| --- |{' ---: |' * len(outcomes)}")
        lines += [
            f"| {row} | {' | '.join(str(self.cells[row, outcome] or '') for outcome in outcomes)} |"
            for row in rows
        ]
        print("\n".join(lines))  # noqa: T201 - the table is the result
        assert not self.wrong, "\n".join(self.wrong[:20])

"""What a campaign found, as one table; its size and seed come from the environment."""

from __future__ import annotations

import os
from collections import Counter


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

    def add(self, row: object, outcome: object) -> None:
        """Count one case."""
        self.cells[str(row), str(outcome)] += 1

    def fail(self, case: str) -> None:
        """Keep a case that went wrong."""
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

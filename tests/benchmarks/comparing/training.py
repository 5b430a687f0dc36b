"""`train` against implicit's own `fit` on arrays in memory: the iterations, and the whole command."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from comparing.contest import HEADS, Contestant, markdown
from comparing.ingesting import last_json, ours, peer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from comparing.contest import Entry

OURS = "lastfm-dask train"
FIT = "implicit's fit, arrays in memory"


def _read(text: str) -> dict[str, Any]:
    said = last_json(text)
    return said | {"one_iteration_s": statistics.median(said["iteration_s"])}


def contestants(dataset: Path, iterations: int) -> list[Contestant]:
    """Return ours and implicit: factors 100, regularization 0.01, raw plays."""
    settings = ("--preset", "notebook", "--iterations", str(iterations), "--seed", "1", "--json")
    return [
        Contestant(
            OURS,
            lambda folder: ours("train", str(dataset), "-o", str(folder / "out.model"), *settings),
            _read,
        ),
        Contestant(
            FIT,
            lambda folder: peer("implicit_fit", str(dataset), str(folder / "factors"), str(iterations)),
            _read,
        ),
    ]


def table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table and the two ratios that matter."""
    rows = []
    for entry in entries.values():
        row = entry.row(entries[OURS].wall_s)
        rows.append([*row, *(f"{entry.median_of(key) or 0:.2f}" for key in ("one_iteration_s", "fit_s"))])
    mine, fit = entries[OURS], entries[FIT]
    # Pairs of one round: what disturbed one disturbed the other as well, so far as that can be had.
    pairs = list(zip(mine.said, fit.said, strict=False))
    iteration = statistics.median(a["one_iteration_s"] / b["one_iteration_s"] for a, b in pairs)
    whole = statistics.median(run.wall_s / b["fit_s"] for run, b in zip(mine.runs, fit.said, strict=False))
    return (
        markdown([*HEADS, "s an iteration", "fit s"], rows)
        + f"\n\nAn iteration takes {iteration:.3f} times implicit's; the whole command, process start and model on disk"
        f" included, {whole:.3f} times implicit's `fit` alone (medians over the rounds)."
    )

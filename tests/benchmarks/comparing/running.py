"""`run`, from log to answers: the default preset, the same with 15 iterations, and the notebook's way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comparing.contest import HEADS, Contestant, markdown
from comparing.ingesting import last_json, ours, peer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from comparing.contest import Entry

OURS = "lastfm-dask run"
FIXED = "lastfm-dask run --iterations 15"
NOTEBOOK = "pandas and implicit, 128 factors, 15 iterations"


def _trained(text: str) -> dict[str, Any]:
    said = last_json(text)["train"]
    return {"iterations": said["iterations"]["done"], "fit_s": said["fit_s"]}


def contestants(source: Path) -> list[Contestant]:
    """Return the three ways, each from the log."""
    return [
        Contestant(
            OURS, lambda folder: ours("run", str(source), "-o", str(folder / "out"), "--json"), _trained
        ),
        Contestant(
            FIXED,
            lambda folder: ours(
                "run", str(source), "-o", str(folder / "out"), "--iterations", "15", "--json"
            ),
            _trained,
        ),
        Contestant(
            NOTEBOOK, lambda folder: peer("pandas_implicit", str(source), str(folder / "out")), last_json
        ),
    ]


def table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table."""
    base = entries[OURS].wall_s
    rows = [
        [*entry.row(base), f"{entry.median_of('iterations') or 0:g}", f"{entry.median_of('fit_s') or 0:.1f}"]
        for entry in entries.values()
    ]
    return markdown([*HEADS, "iterations", "fit s"], rows)

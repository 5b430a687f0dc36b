"""From a log to statistics, mappings and one CSR matrix: ours against the peers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparing.contest import HEADS, MIB, Contestant, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from comparing.contest import Entry

PEERS = Path(__file__).parents[1] / "peers"
OURS = "lastfm-dask ingest"
_SCRIPTS = {
    "DuckDB, memory_limit 4 GB": "duckdb_sql",
    "Polars, streaming": "polars_streaming",
    "pandas, as in the notebook": "pandas_notebook",
    "dask.dataframe, a worker a processor": "dask_dataframe",
    "implicit's converter (no statistics)": "implicit_converter",
}
CHECKED = ("users", "artists", "nnz", "plays_total", "played_once")


def ours(*arguments: str) -> list[str]:
    """Return our command line in this interpreter."""
    return [sys.executable, "-m", "lastfm_dask", *arguments]


def peer(script: str, *arguments: str) -> list[str]:
    """Return a peer's command line in this interpreter."""
    return [sys.executable, str(PEERS / f"{script}.py"), *arguments]


def last_json(text: str) -> dict[str, Any]:
    """Return the object on the last line."""
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


def contestants(source: Path, only: Sequence[str] = ()) -> list[Contestant]:
    """Return ours and the peers, or of the peers those whose script's name holds one of `only`."""

    def of(script: str) -> Callable[[Path], list[str]]:
        return lambda folder: peer(script, str(source), str(folder / "out"))

    def with_limit(*limit: str) -> Callable[[Path], list[str]]:
        return lambda folder: ours("ingest", str(source), "-o", str(folder / "out.dataset"), "--json", *limit)

    found = [
        Contestant(OURS, with_limit(), last_json),
        Contestant(f"{OURS} --memory 512MiB", with_limit("--memory", "512MiB"), last_json),
    ]
    wanted = {name: s for name, s in _SCRIPTS.items() if not only or any(word in s for word in only)}
    return found + [Contestant(name, of(script), last_json) for name, script in wanted.items()]


def table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table: time, memory, rows kept, and in what a contestant's counts differ from ours."""
    said = entries[OURS].said[-1]
    rows = []
    for entry in entries.values():
        row = entry.row(entries[OURS].wall_s)
        found = entry.said[-1] if entry.said else {}
        row.append(f"{found['rows_kept']:,}" if found else "")
        row.append(f"{said['rows_read'] - found['rows_kept']:,}" if found else "")
        row.append(
            ", ".join(f"{key} {found[key]:,}" for key in CHECKED if key in found and found[key] != said[key])
        )
        rows.append(row)
    return markdown([*HEADS, "rows kept", "not kept", "differs from ours"], rows)


def short_table(entries: Mapping[str, Entry]) -> str:
    """Return the table as README has it: the fastest first, median seconds, memory held, and rows that are not kept."""
    read = entries[OURS].said[-1]["rows_read"]
    good = sorted((entry for entry in entries.values() if entry.said), key=lambda entry: entry.wall_s)
    rows = []
    for entry in good:
        held = max(run.peak_held_bytes for run in entry.runs if run.exit_code == 0) / MIB
        cells = [f"{entry.wall_s:.1f}", f"{held:,.0f}"]
        is_ours = entry.name.startswith(OURS)
        name = f"**`{entry.name.removeprefix('lastfm-dask ')}`**" if is_ours else entry.name
        lost = f"{read - entry.said[-1]['rows_kept']:,}"
        rows.append([name, *([f"**{cell}**" for cell in cells] if is_ours else cells), lost])
    return markdown(["how", "seconds", "memory held, MiB", "rows lost"], rows)

"""Ingest at several sizes of the same log: time and memory by stage, how each grows, and what larger logs would take.

A stage's growth is the exponent between the two largest sizes measured: 1 where twice the log takes twice as much. What
a larger log takes is projected with that exponent. A cluster shares the scan alone; the driver does the rest, and
can't take in blocks faster than `BLOCK_S` each.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from math import log
from typing import TYPE_CHECKING

from comparing.contest import MIB, markdown
from comparing.ingesting import last_json, ours
from comparing.measure import run
from lastfm_dask.sources.published import N_USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MEMORY_BYTES = 512 * MIB
MOST_MEMORY_BYTES = 64 * 1024 * MIB
LARGER = (100, 300)
N_WORKERS = 8
BLOCK_S = 0.010
"""What the scheduler spends on a block (`lastfm_dask/DESIGN.md`, Engine)."""
BLOCK_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True)
class Size:
    """What one size took.

    Attributes
    ----------
    scale : float
        Times the published log's users.
    log_bytes, rows, memory_bytes : int
        The log's size and lines, and what the run was allowed.
    wall_s : dict
        Seconds by stage, and of the whole command under `all`.
    held_bytes : dict
        Measured memory by stage.
    """

    scale: float
    log_bytes: int
    rows: int
    memory_bytes: int
    wall_s: dict[str, float]
    held_bytes: dict[str, int]


def measure(scale: float, rounds: int, folder: Path, note: Callable[[str], None]) -> Size:
    """Make a log of this size, ingest it in 512 MiB or the least that the plan asks, and remove both.

    The figures are those of the fastest of the rounds: growth is about the program, not about what else runs.
    """
    source, output = folder / "log.tsv", folder / "log.dataset"
    try:
        n_users = max(1, round(N_USERS * scale))
        made = run(ours("synth", str(source), "--users", str(n_users), "--json"), folder / "synth")
        log_bytes, memory_bytes, found = last_json(made.stdout)["size_bytes"], MEMORY_BYTES, []
        while len(found) < rounds:
            shutil.rmtree(output, ignore_errors=True)
            limit = ("--memory", str(memory_bytes), "--json")
            done = run(ours("ingest", str(source), "-o", str(output), *limit), folder / "ingest")
            if done.exit_code == 4 and memory_bytes < MOST_MEMORY_BYTES:
                memory_bytes = int(last_json(done.stderr)["error"]["smallest_bytes"]) + MIB
                found = []
                continue
            if done.exit_code:
                msg = f"ingest at {scale:g} times the log failed: {done.stderr[-1000:]}"
                raise RuntimeError(msg)
            said = last_json(done.stdout)
            walls = {stage["stage"]: stage["wall_s"] for stage in said["stages"]}
            held = {stage["stage"]: stage["measured_bytes"] for stage in said["stages"]}
            note(f"{scale:g} times: {log_bytes:,} bytes in {done.wall_s:.1f} s, {walls}")
            walls["all"] = done.wall_s
            found.append(Size(scale, log_bytes, said["rows_read"], memory_bytes, walls, held))
        return min(found, key=lambda size: size.wall_s["all"])
    finally:
        source.unlink(missing_ok=True)
        shutil.rmtree(output, ignore_errors=True)


def exponent(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the slope between two points (size, value) on logarithmic scales."""
    (x, y), (later_x, later_y) = first, second
    return log(later_y / y) / log(later_x / x)


def carried_on(first: tuple[float, float], second: tuple[float, float], x: float) -> float:
    """Return the value at `x` on the line through two points on logarithmic scales."""
    return float(second[1] * (x / second[0]) ** exponent(first, second))


def table(sizes: Sequence[Size]) -> str:
    """Return the tables of time and memory by stage, and what they say in words."""
    names = [f"{size.scale:g} ×" for size in sizes]
    later = [f"{scale} ×, projected" for scale in LARGER]
    before, last = sizes[-2:]
    walls, helds, growth = [], [], {}
    for stage in last.wall_s:
        points = [(size.scale, max(size.wall_s[stage], 1e-3)) for size in sizes]
        growth[stage] = exponent(*points[-2:])
        projected = [f"{carried_on(*points[-2:], scale):,.0f}" for scale in LARGER]
        walls.append([stage, *(f"{wall:.2f}" for _, wall in points), f"{growth[stage]:.2f}", *projected])
    grown = {}
    for stage in last.held_bytes:
        points = [(size.scale, size.held_bytes[stage]) for size in sizes]
        grown[stage] = exponent(*points[-2:])
        projected = [f"{carried_on(*points[-2:], scale) / MIB:,.0f}" for scale in LARGER]
        helds.append(
            [stage, *(f"{held / MIB:,.0f}" for _, held in points), f"{grown[stage]:.2f}", *projected]
        )
    told = ", ".join(
        f"{size.scale:g} × {size.rows:,} rows in {size.memory_bytes / MIB:,.0f} MiB" for size in sizes
    )
    steepest = max(
        (stage for stage in growth if last.wall_s[stage] > 0.02 * last.wall_s["all"]), key=growth.__getitem__
    )
    largest = max(grown, key=grown.__getitem__)
    return "\n\n".join(
        (
            told,
            markdown(["seconds", *names, "exponent", *later], walls),
            markdown(["MiB held", *names, "exponent", *later], helds),
            f"Time bends first in {steepest} (exponent {growth[steepest]:.2f}), memory in {largest} ({grown[largest]:.2f}).",
            *(on_cluster(before, last, scale) for scale in LARGER),
        )
    )


def on_cluster(before: Size, last: Size, scale: float) -> str:
    """Return in words what a cluster would take of a log of this size."""
    seconds = {
        stage: carried_on(
            (before.scale, max(before.wall_s[stage], 1e-3)),
            (last.scale, max(last.wall_s[stage], 1e-3)),
            scale,
        )
        for stage in last.held_bytes
    }
    n_blocks = last.log_bytes / last.scale * scale / BLOCK_BYTES
    scan_s, driver_s = seconds["scan"] / N_WORKERS, n_blocks * BLOCK_S
    rest_s = sum(seconds.values()) - seconds["scan"]
    bound = "the workers" if scan_s > driver_s else "the scheduler"
    return (
        f"{scale:g} × on {N_WORKERS} workers, each as fast as this machine: scan {max(scan_s, driver_s):,.0f} s, bound by"
        f" {bound}; then {rest_s:,.0f} s on the driver, {rest_s / (rest_s + max(scan_s, driver_s)):.0%} of the whole."
    )


def plot(sizes: Sequence[Size], path: Path) -> None:
    """Write a page with both figures, log-log, one line a stage."""
    from bokeh.embed import file_html
    from bokeh.layouts import row
    from bokeh.models import FixedTicker, PrintfTickFormatter
    from bokeh.palettes import Category10
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    figures = []
    for title, values in (
        ("seconds", [size.wall_s for size in sizes]),
        ("MiB held", [{stage: held / MIB for stage, held in size.held_bytes.items()} for size in sizes]),
    ):
        chart = figure(
            title=title,
            x_axis_type="log",
            y_axis_type="log",
            x_axis_label="times the log",
            width=540,
            height=380,
            toolbar_location=None,
        )
        chart.xaxis.ticker = FixedTicker(ticks=[size.scale for size in sizes])
        chart.xgrid.ticker = chart.xaxis.ticker
        chart.yaxis.formatter = PrintfTickFormatter(format="%g")
        for stage, color in zip(values[-1], Category10[10], strict=False):
            xs, ys = [size.scale for size in sizes], [max(found[stage], 1e-3) for found in values]
            chart.line(xs, ys, color=color, legend_label=stage, line_width=2)
            chart.scatter(xs, ys, color=color, size=6)
        chart.add_layout(chart.legend[0], "right")
        figures.append(chart)
    path.write_text(file_html(row(*figures), INLINE, "Ingest by size"), encoding="utf-8")


def save(sizes: Sequence[Size], folder: Path) -> None:
    """Write the figures as JSON and the plot as a page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scale.json").write_text(
        json.dumps([asdict(size) for size in sizes], indent=1), encoding="utf-8"
    )
    plot(sizes, folder / "scale.html")

"""What `doctor` shows to people: one table a section, problems last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastfm_dask.cli.output import console, shortened
from lastfm_dask.memory.libraries import EXTRAS
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Row = Sequence[str]

_NAME_WIDTH, _VALUE_WIDTH = 28, 12


def show(report: dict[str, Any]) -> None:
    """Print a report of `doctor`."""
    _section("Memory", _memory_rows(report["memory"]))
    _section("CPUs", _cpu_rows(report))
    _section("Disk", _disk_rows(report["disk"]))
    _section("Libraries", _library_rows(report))
    plan = report["plan"]
    _section(f"Plan for the full-size log, {plan['rows']:,} rows", _plan_rows(plan))
    _problems(report["problems"])


def _section(title: str, rows: Iterable[Row]) -> None:
    """Print rows of a name, a value and a remark under a title."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE,
        show_header=False,
        pad_edge=False,
    )
    screen = console()
    remark_width = max(screen.width - _NAME_WIDTH - _VALUE_WIDTH - 8, 12)
    table.add_column(width=_NAME_WIDTH, overflow="fold")
    table.add_column(justify="right", width=_VALUE_WIDTH, overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for name, value, remark in rows:
        words = " ".join(shortened(word, remark_width) for word in remark.split(" "))
        table.add_row(name, value, words)
    screen.print(table)


def _memory_rows(memory: dict[str, Any]) -> list[Row]:
    rows: list[Row] = [
        ("total", format_size(memory["total_bytes"]), "of the machine"),
        ("allowed", format_size(memory["allowed_bytes"]), memory["allowed_source"]),
    ]
    rows += [("  a bound", format_size(bound["bytes"]), bound["source"]) for bound in memory["candidates"]]
    rows += [
        ("reserved" if i == 0 else "", format_size(step["bytes"]), step["step"])
        for i, step in enumerate(memory["reserved"])
    ]
    files = format_size(memory["file_bytes"])
    remark = f"anonymous and shared, from {memory['read_from']}; file pages beside it: {files}"
    rows.append(("in use", format_size(memory["in_use_bytes"]), remark))
    group = memory["cgroup"]
    if group is not None and group["usage_bytes"] is not None:
        held = format_size(group["held_bytes"])
        remark = f"version {group['version']}, {group['path']}; its processes hold {held}"
        rows.append(("in use by the control group", format_size(group["usage_bytes"]), remark))
    return rows


def _cpu_rows(report: dict[str, Any]) -> list[Row]:
    cpus = report["cpus"]
    rows: list[Row] = [("used at most", str(cpus["count"]), cpus["source"])]
    rows += [("  a bound", str(bound["count"]), bound["source"]) for bound in cpus["candidates"]]
    rows += [
        (
            f"{'BLAS' if pool['kind'] == 'blas' else 'OpenMP'} threads found",
            str(pool["threads"]),
            f"{pool['library']} {pool['version'] or ''}".strip(),
        )
        for pool in report["native_threads"]
    ]
    rows.append(("BLAS threads in training", "1", "implicit uses its own threads"))
    return rows


def _disk_rows(disk: dict[str, Any]) -> list[Row]:
    size = "" if disk["total_bytes"] is None else f"of {format_size(disk['total_bytes'])}, "
    kind = "unknown" if disk["kind"] is None else disk["kind"]
    mount = "" if disk["mount"] is None else f"mounted at {disk['mount']}"
    return [
        ("free", format_size(disk["free_bytes"]), f"{size}in {disk['folder']}"),
        ("kind", kind, "; ".join(filter(None, (disk["meaning"], mount)))),
    ]


def _library_rows(report: dict[str, Any]) -> list[Row]:
    allocator, openmp = report["allocator"], report["openmp"]
    can = "can" if allocator["can_trim"] else "can't"
    pools = ", ".join(allocator["arrow_pools"])
    rows: list[Row] = [
        ("allocator", allocator["arrow_pool"], f"Arrow's pool now; it has {pools}"),
        ("C library", allocator["c_library"] or "unknown", f"{can} return freed memory on request"),
        ("OpenMP", "missing" if openmp["problem"] else "found", openmp["library"]),
    ]
    for name, version in report["versions"].items():
        extra = f"extra {EXTRAS[name]}" if name in EXTRAS else ""
        rows.append((name, version or "–", extra if version else f"not installed{extra and ': ' + extra}"))
    return rows


def _plan_rows(plan: dict[str, Any]) -> list[Row]:
    rows: list[Row] = [
        (f"{stage['command']}: {stage['stage']}", format_size(stage["projected_bytes"]), _pace(stage, plan))
        for stage in plan["stages"]
    ]
    rows += [
        (f"{disk['command']}: on disk", format_size(disk["projected_bytes"]), "work directory and result")
        for disk in plan["disk"]
    ]
    rows += [
        (
            f"{refused['command']}: {refused['stage']}",
            format_size(refused["projected_bytes"]),
            "refused, see below",
        )
        for refused in plan["refusals"]
    ]
    return rows


def _pace(stage: dict[str, Any], plan: dict[str, Any]) -> str:
    threads = f"{stage['threads']} threads at most"
    if stage["command"] == "train":
        return f"{threads}, {plan['factors']} factors"
    return f"{threads}, blocks of {format_size(stage['block_bytes'])}"


def _problems(problems: list[dict[str, str]]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    out = console()
    if not problems:
        out.print(Text("No problems found.", style="bold green"))
        return
    out.print(Text("Problems" if len(problems) > 1 else "Problem", style="bold red"))
    for problem in problems:
        out.print(Padding(Text(problem["problem"]), (0, 0, 0, 2)))
        out.print(Padding(Text(f"→ {problem['remedy']}", style="green"), (0, 0, 0, 4)))

"""`doctor`: what this machine or pod allows, what is installed, which plans fit, and what is wrong."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import MEMORY, PATH, json_option
from lastfm_dask.memory.sizes import format_size, limit_for, limit_text
from lastfm_dask.sources import published

if TYPE_CHECKING:
    from lastfm_dask.errors import BudgetError
    from lastfm_dask.memory.budget import Budget, Plan
    from lastfm_dask.memory.cgroups import Group

    Report = dict[str, Any]


@click.command()
@click.option("--folder", type=PATH, default=Path(), help="Where datasets would be written.  [default: here]")
@click.option(
    "--memory",
    "memory_bytes",
    type=MEMORY,
    envvar="LASTFM_DASK_MEMORY",
    show_envvar=True,
    help="Assume at most this much memory.",
)
@click.option("--threads", type=click.IntRange(1), help="Assume at most this many threads.")
@json_option
def command(folder: Path, memory_bytes: int | None, threads: int | None, as_json: bool) -> None:
    """Show what this machine or pod allows and what is installed.

    Lists memory and CPUs with the source of every bound, the disk, the libraries, and the plan for the full-size
    log. Problems come last, each with its remedy.
    """
    report = examine(folder, memory_bytes, threads)
    if as_json:
        from lastfm_dask.cli.output import echo_json

        echo_json(report)
    else:
        from lastfm_dask.cli.doctor_table import show

        show(report)


def examine(folder: Path, memory_bytes: int | None = None, threads: int | None = None) -> Report:
    """Return all that `doctor --json` prints: memory, CPUs, disk, libraries, plan and problems."""
    from lastfm_dask.memory import allocator, libraries
    from lastfm_dask.memory.imports import keep_pandas_out
    from lastfm_dask.memory.limits import cpus

    allocator.begin()
    held = [libraries.import_and_measure("interpreter and command line", ())]
    keep_pandas_out()
    held.append(libraries.import_and_measure("with the libraries of ingest", libraries.INGEST_LIBRARIES))
    held.append(libraries.import_and_measure("and with those of train", libraries.TRAIN_LIBRARIES))
    found = cpus(threads)
    report: Report = {
        "memory": _memory(memory_bytes, held),
        "cpus": {**asdict(found), "candidates": [asdict(bound) for bound in found.candidates]},
        "disk": _disk(folder),
        "allocator": libraries.allocators(),
        "openmp": {"library": libraries.OPENMP, "problem": libraries.openmp_problem()},
        "native_threads": libraries.thread_pools(),
        "versions": libraries.versions(),
    }
    report["plan"] = full_size_plan(report)
    report["import_problems"] = [step.problem for step in held if step.problem]
    report["problems"] = problems(report)
    return report


def _memory(memory_bytes: int | None, held: list[Any]) -> Report:
    from lastfm_dask.memory.cgroups import groups
    from lastfm_dask.memory.limits import allowed_memory
    from lastfm_dask.memory.proc import SYSTEM_ROOT, machine, read_text, resident

    now, whole = resident(), machine()
    allowed = allowed_memory(memory_bytes)
    group: Group | None = next((g for g in groups("memory") if g.usage() is not None), None)
    return {
        "total_bytes": whole.total,
        "available_bytes": whole.available,
        "allowed_bytes": allowed.bytes,
        "allowed_source": allowed.source,
        "candidates": [asdict(bound) for bound in allowed.candidates],
        "reserved": [{"step": step.step, "bytes": step.bytes} for step in held],
        "in_use_bytes": now.held,
        "file_bytes": now.file,
        "cgroup": None
        if group is None
        else {
            "version": group.version,
            "path": str(group.path),
            "usage_bytes": group.usage(),
            "held_bytes": group.held(),
        },
        "read_from": "/proc" if read_text(SYSTEM_ROOT / "proc/self/status") else "psutil",
    }


def _disk(folder: Path) -> Report:
    from lastfm_dask.memory.disk import file_system, free_bytes

    folder = folder.absolute()
    found = file_system(folder)
    try:
        total = shutil.disk_usage(folder).total
    except OSError:
        total = None
    return {
        "folder": str(folder),
        "exists": folder.is_dir(),
        "writable": os.access(folder, os.W_OK | os.X_OK),
        "free_bytes": free_bytes(folder),
        "total_bytes": total,
        "mount": found and found.mount,
        "kind": found and found.kind,
        "meaning": found and found.meaning,
        "in_memory": bool(found and found.in_memory),
    }


def full_size_plan(report: Report) -> Report:
    """Return the plan for the full-size log within the limits of a report. Pure."""
    from lastfm_dask.errors import BudgetError
    from lastfm_dask.training.settings import TrainSettings

    plan: Report = {
        "rows": published.N_LINES,
        "users": published.N_USER_VALUES,
        "artists": published.N_ARTIST_NAMES,
        "source_bytes": published.N_BYTES,
        "factors": TrainSettings().factors,
        "stages": [],
        "disk": [],
        "refusals": [],
    }
    for name, planned in (("ingest", _plan_ingest), ("train", _plan_train)):
        try:
            found = planned(report)
        except BudgetError as error:
            plan["refusals"].append({"command": name, **_refusal(error)})
            continue
        pace = {key: getattr(found.settings, key, None) for key in ("threads", "block_bytes")}
        plan["stages"] += [
            {"command": name, "stage": stage, "projected_bytes": projected, **pace}
            for stage, projected in found.stages.items()
        ]
        plan["disk"].append({"command": name, "projected_bytes": found.disk_bytes})
    return plan


def _budget(report: Report, reserved: Report) -> Budget:
    from lastfm_dask.memory.budget import Budget

    return Budget(
        allowed=report["memory"]["allowed_bytes"],
        reserved=reserved["bytes"],
        cpus=report["cpus"]["count"],
        free_disk=report["disk"]["free_bytes"],
        disk_in_memory=report["disk"]["in_memory"],
        source=report["memory"]["allowed_source"],
    )


def _plan_ingest(report: Report) -> Plan[Any]:
    from lastfm_dask.ingestion.plan import plan_ingest
    from lastfm_dask.ingestion.source_shape import SourceShape

    shape = SourceShape(
        published.N_BYTES, published.N_LINES, published.N_USER_VALUES, published.N_ARTIST_NAMES
    )
    return plan_ingest(shape, _budget(report, report["memory"]["reserved"][1]))


def _plan_train(report: Report) -> Plan[Any]:
    from lastfm_dask.training.plan import TrainingShape, plan_training
    from lastfm_dask.training.settings import TrainSettings

    shape = TrainingShape(
        published.N_USER_VALUES, published.N_ARTIST_NAMES, published.N_LINES, TrainSettings().factors
    )
    return plan_training(shape, _budget(report, report["memory"]["reserved"][-1]))


def _refusal(error: BudgetError) -> Report:
    return {
        "stage": error.stage,
        "projected_bytes": error.projected_bytes,
        "allowed_bytes": error.allowed_bytes,
        "smallest_bytes": error.smallest_bytes,
    }


def problems(report: Report) -> list[dict[str, str]]:
    """Return the problems in a report, each with its remedy. Pure."""
    disk, found = report["disk"], []

    def problem(text: str, remedy: str) -> None:
        found.append({"problem": text, "remedy": remedy})

    if report["openmp"]["problem"]:
        problem(
            f"training can't run: implicit needs {report['openmp']['library']}, which can't be loaded"
            f" ({report['openmp']['problem']})",
            "install it: apt-get install libgomp1 (Debian, Ubuntu), dnf install libgomp (Fedora, RHEL), apk add"
            " libgomp (Alpine)",
        )
    for text in report["import_problems"]:
        if not report["openmp"]["problem"] or "gomp" not in text:
            problem(
                f"a library can't be imported: {text}",
                "reinstall the package and the library that the message names",
            )
    if not disk["exists"]:
        problem(f"the folder {disk['folder']} does not exist", "make it, or name another (--folder)")
    elif not disk["writable"]:
        problem(
            f"the folder {disk['folder']} can't be written to", "change its mode, or name another (--folder)"
        )
    if disk["in_memory"]:
        problem(
            f"the folder {disk['folder']} is a {disk['kind']}: it lives in memory, and what is written there counts"
            " as memory of this pod",
            "write datasets and models to a folder on a disk (in Kubernetes: an emptyDir without medium Memory, or a"
            " volume)",
        )
    for refusal in report["plan"]["refusals"]:
        of_memory = refusal["allowed_bytes"] == report["memory"]["allowed_bytes"]
        where = f"of memory in stage {refusal['stage']}" if of_memory else "on disk"
        smallest_bytes = limit_for(refusal["smallest_bytes"])
        smallest = f"{limit_text(refusal['smallest_bytes'])} ({smallest_bytes} bytes)"
        problem(
            f"{refusal['command']} would refuse the full-size log: it needs"
            f" {format_size(refusal['projected_bytes'])} {where}, {format_size(refusal['allowed_bytes'])} are allowed",
            f"give it {smallest} or more; smaller logs may need less",
        )
    if not report["allocator"]["can_trim"]:
        problem(
            "the C library can't be made to return freed memory to the kernel",
            "where memory is tight, use an image with glibc (Debian, Ubuntu, Fedora)",
        )
    if report["memory"]["read_from"] == "psutil":
        problem(
            "there is no /proc: file pages can't be distinguished from anonymous memory, so all of it counts as held",
            "mount /proc; without it, control group limits are invisible too: pass --memory",
        )
    return found

"""`lastfm-dask plan`: what a source, a dataset or a model would need, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastfm_dask.cli import ingesting
from lastfm_dask.cli.options import PATH, compute_options, json_option
from lastfm_dask.cli.output import echo, echo_json, print_table
from lastfm_dask.memory.sizes import Size


@click.command("plan")
@click.argument("source", nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, help="Where the dataset would be built.  [default: here]")
@ingesting.schema_options
@compute_options
@json_option
def command(source: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Project the memory and disk that ingesting SOURCE needs, stage by stage, without doing the work.

    SOURCE may also be a dataset or a model. Lists the smallest limit of each command.

    Reads a small sample of SOURCE. With too little memory or disk it ends as ingest would: with exit
    code 4 and the smallest sufficient limit.
    """
    from lastfm_dask.cli import smallest
    from lastfm_dask.ingestion.planning import plan_source
    from lastfm_dask.interactions.headers import resolve
    from lastfm_dask.memory.budget import Budget
    from lastfm_dask.sources.files import find

    folder = Path.cwd() if output is None else output.absolute().parent
    kind = smallest.kind_of(Path(source[0])) if len(source) == 1 else None
    reserved = smallest.reserved_by_command(kind or "source")
    if kind is not None:
        budget = Budget.measured(folder, memory_bytes=options["memory_bytes"], threads=options["threads"])
        of = smallest.of_model if kind == "model" else smallest.of_dataset
        _show({"kind": kind, "allowed_bytes": budget.allowed}, of(Path(source[0]), reserved, budget), as_json)
        return
    files = find(source)
    schema = resolve(files, ingesting.schema_of(options))
    resources = ingesting.resources_of(options)
    plan = plan_source(files, schema, resources, folder)
    if not as_json:
        echo(f"{plan!r}\n")
    _show(plan.to_dict(), smallest.of_source(plan, reserved, on_cluster=resources.on_cluster), as_json)


def _show(found: dict[str, Any], commands: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        echo_json({**found, "commands": commands})
        return
    rows = [row for one in commands for row in _rows(one)]
    print_table("The smallest limit of each command", ["command", "limit", "stage", "projected"], rows)


def _rows(command: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each stage; the first has the command and its limit."""
    stages = [(stage, Size(n_bytes)) for stage, n_bytes in command["stages"].items()]
    heads = [(command["command"], Size(command["smallest_bytes"])), *[("", "")] * (len(stages) - 1)]
    return [(*head, *stage) for head, stage in zip(heads, stages, strict=True)]

"""`lastfm-dask plan`: what ingest would need, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lastfm_dask.cli import ingesting
from lastfm_dask.cli.options import PATH, compute_options, json_option
from lastfm_dask.cli.output import echo


@click.command("plan")
@click.argument("source", nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, help="Where the dataset would be built.  [default: here]")
@ingesting.schema_options
@compute_options
@json_option
def command(source: tuple[str, ...], output: Path | None, as_json: bool, **options: Any) -> None:
    """Project the memory and the disk that ingesting SOURCE needs, stage by stage, without doing it.

    A small sample of SOURCE is read. Where there is too little memory or disk it ends as ingest would: with exit
    code 4 and the smallest limit that would do.
    """
    from lastfm_dask.cli.output import echo_json
    from lastfm_dask.ingestion.planning import plan_source
    from lastfm_dask.interactions.headers import resolve
    from lastfm_dask.interactions.sources import find

    folder = Path.cwd() if output is None else output.absolute().parent
    files = find(source)
    schema = resolve(files, ingesting.schema_of(options))
    plan = plan_source(files, schema, ingesting.resources_of(options), folder)
    if as_json:
        echo_json(plan.to_dict())
    else:
        echo("\n".join(plan.lines()))

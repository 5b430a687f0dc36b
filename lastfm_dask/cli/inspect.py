"""`lastfm-dask inspect`: guess a file's format, and propose the ingest line that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import json_option

if TYPE_CHECKING:
    from lastfm_dask.interactions.proposal import Inspection


@click.command("inspect")
@click.argument("file")
@click.option(
    "--encoding", metavar="NAME", help="The text's encoding, any that Python has; guessed unless given."
)
@json_option
def command(file: str, encoding: str | None, as_json: bool) -> None:
    """Look at the start of FILE: format, encoding, delimiter, quotes, header, and the likely role of each column.

    Shows ten rows as ingest would read them, and the ingest line to copy. Works on text, .gz, .bz2, .xz and .zst,
    archives, JSON lines, and Parquet (by its schema). Of a glob or a folder it shows the first file, and checks that the
    others have the same columns. Writes nothing.
    """
    from lastfm_dask.cli.output import echo_json
    from lastfm_dask.interactions.inspection import inspect
    from lastfm_dask.sources.files import find

    found = inspect(find([file]), file, encoding)
    if as_json:
        echo_json(to_dict(found))
    else:
        _show(found)


def to_dict(found: Inspection) -> dict[str, object]:
    """Return what `inspect --json` prints."""
    return {
        "path": found.path,
        "format": found.format,
        "encoding": found.encoding or None,
        "delimiter": found.delimiter,
        "quote": found.quote,
        "header": found.header,
        "columns": [{"name": name, "role": role} for name, role in found.columns],
        "command": found.command,
        "rows": list(found.rows),
        "rejects": found.rejects,
    }


def _cell(role: str, value: Any) -> Any:
    """Return a value as a person reads it: a time by the calendar, UTC, in place of milliseconds."""
    import numpy as np

    from lastfm_dask.interactions.schema import TIME

    return f"{np.datetime64(value, 'ms')}Z" if role == TIME else value


def _show(found: Inspection) -> None:
    from lastfm_dask.cli.output import print_table

    facts = [
        ("format", found.format),
        ("encoding", found.encoding or None),
        ("delimiter", None if found.delimiter is None else repr(found.delimiter)),
        ("quote", found.quote),
        ("header", "yes" if found.header else "no"),
        ("columns", ", ".join(f"{name}: {role}" for name, role in found.columns)),
    ]
    print_table(found.path, ("what", "likely"), facts)
    if found.rows:
        heads = tuple(found.rows[0])
        rows = [tuple(map(_cell, heads, row.values())) for row in found.rows]
        print_table("the first rows as ingest would read them", heads, rows)
    if found.rejects:
        rejects = ", ".join(f"{reason} {n}" for reason, n in found.rejects.items())
        click.echo(f"rejected in the first 64 KiB: {rejects}")
    click.echo(found.command)

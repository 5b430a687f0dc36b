"""`lastfm-dask synth`: write a synthetic listening log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lastfm_dask.synthesis import LogSize, LogSummary


@click.command("synth")
@click.argument("out", type=PATH)
@click.option("--users", type=click.IntRange(1), default=359_347, show_default=True, help="Listeners.")
@click.option("--artists", type=click.IntRange(1), help="Artist names.  [default: in proportion to --users]")
@click.option("--rows", type=click.IntRange(1), help="Lines, exactly.  [default: in proportion to --users]")
@click.option(
    "--rejects",
    type=click.IntRange(0),
    help="Lines that are not rows, spread evenly; in turn: no artist, no plays, a missing field, a stray carriage"
    " return.  [default: 2, as published]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed gives another log."
)
@click.option(
    "--parquet",
    is_flag=True,
    help="Write Parquet with the same rows (user, mbid, artist, plays); a name that ends in .parquet says so too.",
)
@click.option("--threads", type=click.IntRange(1), help="Use at most this many threads.")
@json_option
def command(
    *,
    out: Path,
    users: int,
    artists: int | None,
    rows: int | None,
    rejects: int | None,
    seed: int,
    parquet: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write a synthetic listening log to OUT, with the real one's shape and quirks.

    The default is the published log's size, 17,559,530 lines. The same sizes and seed give the same bytes on any number
    of threads. It holds no real person's listening.
    """
    from lastfm_dask.synthesis import LogSize, write_log

    size = LogSize.for_users(users, n_artists=artists, n_rows=rows, n_rejects=rejects)
    begin = time.monotonic()
    parquet = parquet or out.suffix.lower() in (".parquet", ".parq", ".pq")
    with_progress = _with_progress if sys.stderr.isatty() else _without_progress
    summary = with_progress(
        size,
        lambda report: write_log(out, size, seed, parquet=parquet, n_threads=threads, progress=report),
    )
    wall_s = time.monotonic() - begin
    result = {
        "path": str(out),
        "rows": summary.rows,
        "users": summary.users,
        "artists": summary.artists,
        "artists_as_written": summary.artists_as_written,
        "plays_total": summary.plays_total,
        "size_bytes": summary.size_bytes,
        "seed": seed,
        "wall_s": wall_s,
    }
    if as_json:
        echo_json(result)
    else:
        print_table(f"Wrote {out}", ["what", "value"], list(result.items())[1:])


def _without_progress(
    size: LogSize,  # noqa: ARG001
    write: Callable[[Callable[[int], None] | None], LogSummary],
) -> LogSummary:
    return write(None)


def _with_progress(size: LogSize, write: Callable[[Callable[[int], None] | None], LogSummary]) -> LogSummary:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows", total=size.n_rows)
        return write(lambda rows: bar.update(task, completed=rows))

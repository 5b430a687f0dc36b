"""`similar`: the artists most like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option, memory_option
from lastfm_dask.cli.output import echo_json, print_table

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model", type=PATH)
@click.argument("artist")
@click.option("-n", "n", type=click.IntRange(1), default=10, show_default=True, help="How many artists.")
@click.option("--min-listeners", type=click.IntRange(0), help="Exclude artists with fewer listeners.")
@click.option(
    "--shrink",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="At this many listeners an artist's similarity counts half; 0: plain cosine.",
)
@memory_option
@json_option
def command(
    model: Path,
    artist: str,
    n: int,
    min_listeners: int | None,
    shrink: float,
    memory_bytes: int | None,
    as_json: bool,
) -> None:
    """List the artists most like one artist.

    MODEL is what `train` made. Similarity is the cosine of the angle between both artists' vectors, multiplied by
    listeners / (listeners + shrink), because an artist with one or two listeners resembles many by chance.
    """
    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.recommender.plan import plan_answer

    recommender = Recommender(model)
    plan_answer(recommender, by_user=False, n=n, memory_bytes=memory_bytes)
    found = recommender.similar(artist, n, min_listeners, shrink=shrink)
    if as_json:
        echo_json(found.to_dict())
        return
    rows = [(item.artist, item.similarity, item.listeners) for item in found.items]
    print_table(f"Most like {found.artist}", ["artist", "similarity", "listeners"], rows)

"""`lastfm-dask stats`: what a dataset holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset


@click.command("stats")
@click.argument("dataset", type=PATH)
@click.option(
    "-n",
    "--top",
    "top",
    type=click.IntRange(0),
    default=30,
    show_default=True,
    help="How many of the most heard artists to list.",
)
@click.option("--user", metavar="ID", help="Show the rows of one user.")
@json_option
def command(dataset: Path, top: int, user: str | None, as_json: bool) -> None:
    """Show what DATASET holds: users, artists, the most heard, artists per user, median plays, the matrix's size.

    Counts the rows that were kept, before rows of the same user and artist are summed.
    """
    from lastfm_dask.dataset.dataset import Dataset

    opened = Dataset(dataset)
    if user is not None:
        _plan_user(opened)
        _show_user(opened, user, as_json)
        return
    statistics = {**opened.statistics, "top_artists": _top(opened, top)}
    if as_json:
        echo_json(statistics)
        return
    from lastfm_dask.cli import summary

    summary.print_top_artists(statistics["top_artists"], opened.n_users)
    summary.print_statistics(statistics)


def _top(dataset: Dataset, n: int) -> list[dict[str, Any]]:
    """Return the most heard artists: from the manifest if it lists enough, else from the table."""
    kept: list[dict[str, Any]] = dataset.statistics["top_artists"]
    if n <= len(kept) or len(kept) == dataset.n_artists:
        return kept[:n]
    from lastfm_dask.dataset.statistics import top_artists

    listeners, plays = (dataset.artists.numbers(name) for name in ("listeners", "plays"))
    return top_artists(listeners, plays, dataset.artists.names, n)


def _plan_user(dataset: Dataset) -> None:
    """Refuse to look a user up where names and the longest list do not fit."""
    from lastfm_dask.memory.budget import Budget, fit
    from lastfm_dask.recommender.plan import listing_plan

    fit([listing_plan(dataset)], Budget.measured(), work="one user's rows", elsewhere="choose another folder")


def _show_user(dataset: Dataset, user: str, as_json: bool) -> None:
    """Print one user's rows, the most played artist first."""
    rows = user_rows(dataset, user)
    if as_json:
        echo_json(rows)
        return
    title = f"user {user}, row {rows['index']} of the matrix: {len(rows['rows'])} artists"
    print_table(
        title, ("artist", "column", "plays"), [(r["artist"], r["index"], r["plays"]) for r in rows["rows"]]
    )


def user_rows(dataset: Dataset, user: str, most: int | None = None) -> dict[str, Any]:
    """Return a user's index and artists with their plays, the most played first, ties in column order."""
    import numpy as np

    index = dataset.users.index(user)
    matrix = dataset.user_items
    part = slice(int(matrix.indptr[index]), int(matrix.indptr[index + 1]))
    columns, plays = np.asarray(matrix.indices[part]), np.asarray(matrix.data[part])
    order = np.argsort(-plays, kind="stable")[:most]
    names = dataset.artists.names(columns[order])
    rows = [
        {"artist": name, "index": int(column), "plays": int(n) if float(n).is_integer() else float(n)}
        for name, column, n in zip(names, columns[order], plays[order], strict=True)
    ]
    return {"user": user, "index": index, "rows": rows}

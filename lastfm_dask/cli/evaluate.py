"""`evaluate`: measure recommendations on held-out interactions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import (
    PATH,
    json_option,
    memory_option,
    settings_of,
    settings_options,
    threads_option,
)
from lastfm_dask.cli.output import echo_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lastfm_dask.evaluation.evaluate import Evaluation
    from lastfm_dask.evaluation.tune import Tuning

SPLITS = ("random", "last", "time", "new-users")
COMPARED = ("notebook", "recommended", "neighbours", "ease")
SHOWN = ("ndcg", "recall", "recall_min", "precision", "map", "coverage")
"""Columns of the table, each at the longest k; the JSON has all figures."""


class SplitType(click.Choice):  # type: ignore[type-arg]
    """A split's name; its earlier name still works."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the current name; fails with click's usage error."""
        from lastfm_dask.evaluation.splits import ALIASES

        return super().convert(ALIASES.get(value, value), param, ctx)


def split_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that hold interactions out."""
    for option in reversed(
        (
            click.option(
                "--split",
                "method",
                type=SplitType(SPLITS),
                default="random",
                show_default=True,
                help="What to hold out: interactions at random, each user's last artists, the most recent interactions (time),"
                " or whole users (new-users).",
            ),
            click.option(
                "--fraction",
                type=float,
                default=0.2,
                show_default=True,
                help="Share of the interactions (random, time) or of the users (new-users) held out.",
            ),
            click.option(
                "--held-out",
                "n_held_out",
                type=int,
                default=1,
                show_default=True,
                help="Artists held out of each user's list (last).",
            ),
            click.option(
                "--seed", type=int, default=42, show_default=True, help="Seed of the split and the intervals."
            ),
            click.option(
                "--users",
                "n_users",
                type=click.IntRange(0),
                default=10_000,
                show_default=True,
                help="Evaluate at most this many users, drawn at random; 0 for all.",
            ),
            click.option(
                "--scratch",
                type=PATH,
                help="Folder for temporary files.  [default: beside the dataset]",
            ),
        )
    ):
        function = option(function)
    return function


def scratch_folder(dataset: Path, scratch: Path | None) -> Path | None:
    """Return where temporary files go: the folder given, else beside the dataset, else the system's (None).

    The system's folder is often small or in memory; the dataset's disk is neither.
    """
    if scratch is not None:
        if not scratch.is_dir():
            msg = f"{scratch} is not a folder: make it first"
            raise click.BadParameter(msg, param_hint="--scratch")
        return scratch
    beside = dataset.absolute().parent
    return beside if os.access(beside, os.W_OK | os.X_OK) else None


@click.command()
@click.argument("dataset", type=PATH)
@settings_options
@split_options
@click.option(
    "-k", "ks", type=int, multiple=True, default=(10,), show_default=True, help="Length of the lists."
)
@click.option(
    "--compare",
    type=click.Choice(COMPARED),
    multiple=True,
    help="Also measure this model. Repeatable.",
)
@click.option(
    "--per-user", type=PATH, metavar="FILE", help="Write every user's figures to this Parquet file."
)
@memory_option
@threads_option
@json_option
def command(
    dataset: Path,
    compare: tuple[str, ...],
    ks: tuple[int, ...],
    memory_bytes: int | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure recommendations on held-out interactions, beside popularity.

    The model is trained on the rest of DATASET with these settings, then measured on what was held out.
    """
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.dataset.writing import refuse_existing
    from lastfm_dask.evaluation import api
    from lastfm_dask.evaluation.beyond import write_per_user
    from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
    from lastfm_dask.evaluation.splits import SplitSettings

    split = SplitSettings(
        **{name: options.pop(name) for name in ("method", "fraction", "n_held_out", "seed")}
    )
    wanted = EvaluationSettings(split, ks, options.pop("n_users") or None)
    folder = scratch_folder(dataset, options.pop("scratch"))
    per_user = options.pop("per_user")
    settings = settings_of(**options)
    opened = Dataset(dataset)
    if per_user is not None:
        refuse_existing(per_user)
    with shown_progress() as progress:
        run = EvaluationRun(memory_bytes, threads, folder, progress)
        found = api.evaluate(opened, settings, compare=compare, measured=wanted, run=run)
    if per_user is not None and found.users is not None:
        names = opened.users.names(found.users)
        write_per_user(per_user, names, {model.name: model.per_user for model in found.models})
    if as_json:
        echo_json(found.to_dict())
        return
    show(found, max(ks))
    for one in found.differences(f"ndcg@{max(ks)}"):
        click.echo(str(one))


def show(found: Evaluation | Tuning, k: int) -> None:
    """Print the models' figures, then NDCG's intervals with each model's times."""
    split = found.split
    title = (
        f"Split {split['method']}, seed {split['seed']}: {split['n_train']:,} interactions for training,"
        f" {split['n_held_out']:,} held out, {split['n_users']:,} users evaluated"
    )
    names = [f"{name}@{k}" for name in SHOWN]
    rows = [[m.name, *(m.metrics[name].value for name in names)] for m in found.models]
    print_table(title, ["model", *names], rows)
    ndcg = f"ndcg@{k}"
    others = [f"{name}@{k}" for name in ("gini", "popularity", "novelty")]
    print_table(
        "", ["model", *others], [[m.name, *(m.beyond[name] for name in others)] for m in found.models]
    )
    intervals = [[m.name, m.metrics[ndcg].low, m.metrics[ndcg].high, m.fit_s, m.rank_s] for m in found.models]
    print_table("", ["model", f"{ndcg} 95 % from", "to", "fit s", "rank s"], intervals)

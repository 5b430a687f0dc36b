"""`evaluate`: measure recommendations on held-out interactions."""

from __future__ import annotations

import os
from contextlib import contextmanager
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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lastfm_dask.evaluation.evaluate import Evaluation
    from lastfm_dask.evaluation.seeds import SeedsEvaluation
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
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    default=(42,),
    show_default=True,
    help="Seed of the split and the intervals. Repeatable: one table over the splits of all seeds.",
)
@click.option(
    "--per-user", type=PATH, metavar="FILE", help="Write every user's figures to this Parquet file."
)
@click.option(
    "--trec",
    type=PATH,
    metavar="FOLDER",
    help="Write the lists to this folder for trec_eval: qrels.txt, and a run file for each model.",
)
@memory_option
@threads_option
@json_option
def command(
    dataset: Path,
    compare: tuple[str, ...],
    ks: tuple[int, ...],
    seeds: tuple[int, ...],
    per_user: Path | None,
    trec: Path | None,
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
    from lastfm_dask.dataset.files import refuse_unwritable
    from lastfm_dask.evaluation import api
    from lastfm_dask.evaluation.beyond import write_per_user
    from lastfm_dask.evaluation.evaluator import EvaluationRun, EvaluationSettings
    from lastfm_dask.evaluation.seeds import over_seeds
    from lastfm_dask.evaluation.splits import SplitSettings

    if len(seeds) > 1 and (per_user or trec):
        msg = "--per-user and --trec are for one split: give one --seed"
        raise click.UsageError(msg)
    split = SplitSettings(
        **{name: options.pop(name) for name in ("method", "fraction", "n_held_out")}, seed=seeds[0]
    )
    wanted = EvaluationSettings(split, ks, options.pop("n_users") or None)
    folder = scratch_folder(dataset, options.pop("scratch"))
    settings = settings_of(**options)
    opened = Dataset(dataset)
    if per_user is not None:
        refuse_unwritable(per_user)
    with _trec_folder(trec) as trec_folder, shown_progress() as progress:
        run = EvaluationRun(memory_bytes, threads, folder, progress, trec_folder)

        def evaluate(measured: EvaluationSettings) -> Evaluation:
            return api.evaluate(opened, settings, compare=compare, measured=measured, run=run)

        if len(seeds) > 1:
            _print(over_seeds(evaluate, wanted, seeds), show_seeds, max(ks), as_json=as_json)
            return
        found = evaluate(wanted)
    if per_user is not None and found.users is not None:
        names = opened.users.names(found.users)
        write_per_user(per_user, names, {model.name: model.per_user for model in found.models})
    _print(found, show, max(ks), as_json=as_json)


@contextmanager
def _trec_folder(target: Path | None) -> Iterator[Path | None]:
    """Give the folder that becomes the target when the block ends well; None where none is wanted."""
    from lastfm_dask.dataset.files import complete_or_absent

    if target is None:
        yield None
        return
    with complete_or_absent(target) as part:
        part.mkdir()
        yield part


def _print(found: Any, show_tables: Callable[[Any, int], None], k: int, *, as_json: bool) -> None:
    """Print an evaluation, of one seed or of several."""
    if as_json:
        echo_json(found.to_dict())
        return
    show_tables(found, k)
    for one in found.differences(f"ndcg@{k}"):
        click.echo(str(one))


def show_seeds(found: SeedsEvaluation, k: int) -> None:
    """Print the models' mean figures over several seeds, with their standard deviations."""
    seeds = ", ".join(map(str, found.seeds))
    names = [f"{name}@{k}" for name in SHOWN]
    figures = {name: found.figures(name) for name in names}
    rows = [
        [model, *(figures[name][model].mean() for name in names), figures[names[0]][model].std(ddof=1)]
        for model in figures[names[0]]
    ]
    print_table(f"Means over {len(found.seeds)} splits, seeds {seeds}", ["model", *names, "ndcg sd"], rows)


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

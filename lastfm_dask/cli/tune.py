"""`tune`: search for the settings that recommend best on a dataset, for `train --settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.evaluate import scratch_folder, show, split_options
from lastfm_dask.cli.options import PATH, json_option, memory_option, threads_option
from lastfm_dask.cli.output import echo, echo_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.evaluation.tune import Tuning

N_SHOWN = 10
"""Trials in the table, best first; the settings file has all."""


@click.command()
@click.argument("dataset", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The settings file to write.")
@click.option("--trials", "n_trials", type=int, default=40, show_default=True, help="Models to train.")
@split_options
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the search and the splits.")
@click.option(
    "-k", type=int, default=10, show_default=True, help="Length of the lists whose NDCG is maximized."
)
@click.option(
    "--max-factors", type=int, default=256, show_default=True, help="The most latent factors to try."
)
@click.option(
    "--weighting",
    "weightings",
    multiple=True,
    help="Try only this weighting. Repeatable.  [default: all]",
)
@click.option(
    "--model",
    "models",
    type=click.Choice(("als", "neighbours", "blend", "auto")),
    multiple=True,
    help="Try only this model, as `train --model` names it. Repeatable.  [default: all]",
)
@memory_option
@threads_option
@json_option
def command(
    dataset: Path,
    output: Path,
    weightings: tuple[str, ...],
    models: tuple[str, ...],
    memory_bytes: int | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for the settings that recommend best on DATASET: factors, strength, weighting, and what ranks beside them.

    The search holds interactions out of the part that `evaluate` with the same seed trains on. The best settings are
    measured on data that neither saw. The first trials are the presets, settled from the data. Equal seeds find equal
    settings. An interrupted search resumes after its last trial (`.NAME.trials` beside the output). Needs the extra
    `tune` (Optuna).
    """
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.evaluation.evaluator import EvaluationRun
    from lastfm_dask.evaluation.search import TuneSettings
    from lastfm_dask.evaluation.splits import SplitSettings
    from lastfm_dask.evaluation.tune import tune
    from lastfm_dask.training.settings import WEIGHTINGS

    if options["method"] == "time":
        msg = (
            "tune can't search by the split time: use random, last or new-users, then `evaluate --split time`"
        )
        raise click.UsageError(msg)
    split = SplitSettings(
        **{name: options.pop(name) for name in ("method", "fraction", "n_held_out", "seed")}
    )
    folder = scratch_folder(dataset, options.pop("scratch"))
    options["n_users"] = options["n_users"] or None
    options["models"] = models or TuneSettings().models
    settings = TuneSettings(split=split, weightings=weightings or WEIGHTINGS, **options)
    user_items = Dataset(dataset).user_items
    with shown_progress() as progress:
        run = EvaluationRun(memory_bytes, threads, folder, progress)
        found = tune(user_items, output, settings, run)
    if as_json:
        echo_json({**found.to_dict(), "output": str(output)})
    else:
        _show(found, output, settings.k)


def _show(found: Tuning, output: Path, k: int) -> None:
    ranked = sorted(
        found.trials, key=lambda trial: -1.0 if trial.value is None else trial.value, reverse=True
    )
    rows = [trial.to_dict() for trial in ranked[:N_SHOWN]]
    n_failed = sum(trial.value is None for trial in found.trials)
    title = f"{len(found.trials)} trials, {n_failed} of which failed; the best {len(rows)} by {found.metric}"
    print_table(
        title,
        [found.metric if key == "value" else key for key in rows[0]],
        [list(row.values()) for row in rows],
    )
    show(found, k)
    echo(f"Settings written to {output}: lastfm-dask train DATASET -o MODEL --settings {output}")

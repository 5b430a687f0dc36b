"""`train`: train implicit's ALS on a dataset, within the allowed memory."""

from __future__ import annotations

from dataclasses import asdict
from statistics import mean
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
from lastfm_dask.cli.output import echo, echo_json, echo_warning, print_table
from lastfm_dask.memory.sizes import Size, format_size

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.training.result import TrainResult


@click.command()
@click.argument("dataset", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The model directory to make.")
@settings_options
@click.option("--seed", type=int, help="Seed of the first factors: equal seeds give equal models.")
@click.option(
    "--metrics", type=PATH, help="Keep with the model what `evaluate --json` printed for these settings."
)
@click.option("--start-from", type=PATH, help="Start from this model's factors, for the names that it knows.")
@memory_option
@threads_option
@json_option
def command(
    dataset: Path,
    output: Path,
    metrics: Path | None,
    start_from: Path | None,
    memory_bytes: int | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train implicit's ALS on a dataset and keep the model.

    DATASET is what `ingest` made. Weights and factors are memory-mapped files. The memory and disk that the work
    needs are printed before it begins.
    """
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.training.train import train

    settings = settings_of(**options)
    with shown_progress() as progress:
        result = train(
            dataset,
            output,
            settings,
            memory_bytes=memory_bytes,
            threads=threads,
            progress=progress,
            metrics=metrics,
            start_from=start_from,
        )
    if as_json:
        echo_json(to_dict(result))
        echo_warnings(result)
    else:
        show(result)
        echo(f"Wrote {output}. Next: lastfm-dask recommend {output} --like NAME")
        echo_warnings(result)


def to_dict(result: TrainResult) -> dict[str, Any]:
    """Return what `train --json` prints."""
    from lastfm_dask.memory.meter import stages_json

    return {
        "model": str(result.path),
        "settings": result.settings.to_dict(),
        "users": result.n_users,
        "artists": result.n_artists,
        "nnz": result.nnz,
        "confidence_min": result.confidence_min,
        "confidence_max": result.confidence_max,
        "prepare_s": result.prepare_s,
        "fit_s": result.fit_s,
        "iterations": {
            "done": result.training.get("iterations"),
            "at_most": result.training.get("max_iterations"),
            "settled": result.training.get("settled"),
        },
        "effective_rank": result.training.get("effective_rank"),
        "check": result.training.get("check"),
        "ranks_by": result.ranks_by,
        "choice": result.training.get("second"),
        "warnings": result.warnings,
        "iteration_s": [round(seconds, 4) for seconds in result.iteration_s],
        "allowed_bytes": result.allowed_bytes,
        "stages": stages_json(result.stages),
    }


def show(result: TrainResult) -> None:
    """Print the model's facts and each stage's memory as tables."""
    from lastfm_dask.training.result import check_text, choice_text, iterations_text

    settings = asdict(result.settings)
    settings["auto"] = ", ".join(result.settings.auto) or None
    del settings["max_iterations"]
    training = result.training
    if training:
        settings["iterations"] = iterations_text(training)
    if settings["weighting"] != "bm25":
        del settings["bm25_k1"], settings["bm25_b"]
    rows: list[tuple[str, object]] = [
        ("users", result.n_users),
        ("artists", result.n_artists),
        ("stored plays", result.nnz),
        *settings.items(),
        ("confidence, lowest", result.confidence_min),
        ("confidence, highest", result.confidence_max),
        ("seconds an iteration", mean(result.iteration_s) if result.iteration_s else None),
        ("effective rank", training.get("effective_rank")),
        ("ranks by", result.ranks_by),
        ("beside popularity", check_text(training) if training else None),
        ("chosen", choice_text(training)),
    ]
    shown = [(name, _cell(value)) for name, value in rows if value is not None]
    print_table("", ["what", "value"], shown)
    stages = [
        (
            stage["stage"],
            stage["wall_s"],
            *(Size(stage[f"{key}_bytes"]) for key in ("reserved", "projected", "measured")),
        )
        for stage in result.stages
    ]
    columns = ["stage", "seconds", "reserved", "projected", "measured"]
    print_table(f"Allowed {format_size(result.allowed_bytes)}", columns, stages)


def echo_warnings(result: TrainResult) -> None:
    """Print what people must know before they use the model, on stderr."""
    for text in result.warnings:
        echo_warning(text)


def _cell(value: object) -> str:
    from lastfm_dask.cli.output import format_cell

    return format_cell(value)

"""`train`: implicit's ALS on a dataset, within the memory allowed."""

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
from lastfm_dask.cli.output import echo_json, print_table
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.training.train import TrainResult


@click.command()
@click.argument("dataset", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The model directory to make.")
@settings_options
@click.option("--seed", type=int, help="Seeds the first factors: equal seeds give equal models.")
@click.option("--metrics", type=PATH, help="What `evaluate --json` printed for these settings, to be kept.")
@memory_option
@threads_option
@json_option
def command(
    dataset: Path,
    output: Path,
    metrics: Path | None,
    memory_bytes: int | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train implicit's ALS on a dataset and keep the model.

    DATASET is what `ingest` made. Weights and factors stay on disk, memory-mapped. What memory and disk the work
    will take is shown before it begins.
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
        )
    if as_json:
        echo_json(to_dict(result))
    else:
        show(result)


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
        "iteration_s": [round(seconds, 4) for seconds in result.iteration_s],
        "allowed_bytes": result.allowed_bytes,
        "stages": stages_json(result.stages),
    }


def show(result: TrainResult) -> None:
    """Print what was trained, and what each stage took, as tables."""
    settings = asdict(result.settings)
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
    ]
    print_table(f"Trained {result.path}", ["what", "value"], [(name, _cell(value)) for name, value in rows])
    stages = [
        (
            stage["stage"],
            stage["wall_s"],
            *(format_size(stage[f"{key}_bytes"]) for key in ("reserved", "projected", "measured")),
        )
        for stage in result.stages
    ]
    columns = ["stage", "seconds", "reserved", "projected", "measured"]
    print_table(f"Allowed {format_size(result.allowed_bytes)}", columns, stages)


def _cell(value: object) -> str:
    from lastfm_dask.cli.output import format_cell

    return format_cell(value)

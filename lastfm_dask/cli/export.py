"""`export`: a dataset or a model as files of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo, echo_json

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("path", type=PATH)
@click.option(
    "--npz",
    type=PATH,
    help="Write this file: a dataset for scipy.sparse.load_npz, a model for implicit's `load` (its"
    " factors alone, without item weights or popularity).",
)
@click.option(
    "--parquet",
    type=PATH,
    help="Write to this folder: a dataset's interactions.parquet, or a model's names and factors.",
)
@click.option(
    "--recbole", type=PATH, help="Write a dataset to this folder as RecBole's NAME.inter, .user and .item."
)
@click.option("--lenskit", type=PATH, help="Write a dataset to this folder for LensKit's Dataset.load.")
@json_option
def command(
    path: Path,
    npz: Path | None,
    parquet: Path | None,
    recbole: Path | None,
    lenskit: Path | None,
    as_json: bool,
) -> None:
    """Write a dataset or a model for other tools.

    PATH is what `ingest` or `train` made. Every file is written whole or not at all.
    """
    asked = {"npz": npz, "parquet": parquet, "recbole": recbole, "lenskit": lenskit}
    targets = {name: target for name, target in asked.items() if target is not None}
    if not targets:
        msg = "choose an output: --npz FILE, --parquet FOLDER, --recbole FOLDER, --lenskit FOLDER, or several"
        raise click.UsageError(msg)
    written = _written(path, targets)
    if as_json:
        echo_json({"written": [{"path": str(file), "bytes": file.stat().st_size} for file in written]})
    else:
        for file in written:
            echo(f"{file}: {file.stat().st_size:,} bytes")


def _written(path: Path, targets: dict[str, Path]) -> list[Path]:
    """Write the requested files and return them."""
    from lastfm_dask.dataset import export as of_dataset
    from lastfm_dask.dataset import layout
    from lastfm_dask.dataset.store import open_directory
    from lastfm_dask.memory.imports import keep_pandas_out
    from lastfm_dask.recommender import export as of_model

    keep_pandas_out()
    is_dataset = open_directory(path, layout.DATASET, layout.MODEL).kind == layout.DATASET.name
    for name in ("recbole", "lenskit"):
        if name in targets and not is_dataset:
            msg = f"{path} is a model, and --{name} writes a dataset: name the dataset it was trained on"
            raise click.UsageError(msg)
    writers = of_dataset if is_dataset else of_model
    written: list[Path] = []
    if "npz" in targets:
        written.append(writers.export_npz(path, targets["npz"]))
    if "parquet" in targets:
        written += writers.export_parquet(path, targets["parquet"])
    if "recbole" in targets:
        written += of_dataset.export_recbole(path, targets["recbole"])
    if "lenskit" in targets:
        written += of_dataset.export_lenskit(path, targets["lenskit"])
    return written

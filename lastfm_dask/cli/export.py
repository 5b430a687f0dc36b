"""`export`: a model's factors for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo, echo_json

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model", type=PATH)
@click.option("--npz", type=PATH, help="Write this file, which implicit's own `load` takes.")
@click.option("--parquet", type=PATH, help="Write names and factors as two Parquet files to this folder.")
@json_option
def command(model: Path, npz: Path | None, parquet: Path | None, as_json: bool) -> None:
    """Write a model as implicit's .npz or as Parquet.

    MODEL is what `train` made.
    """
    from lastfm_dask.recommender.export import export_npz, export_parquet

    if npz is None and parquet is None:
        msg = "say what to write: --npz FILE, --parquet FOLDER, or both"
        raise click.UsageError(msg)
    written: list[Path] = []
    if npz is not None:
        written.append(export_npz(model, npz))
    if parquet is not None:
        written += export_parquet(model, parquet)
    if as_json:
        echo_json({"written": [{"path": str(path), "bytes": path.stat().st_size} for path in written]})
    else:
        for path in written:
            echo(f"{path}: {path.stat().st_size:,} bytes")

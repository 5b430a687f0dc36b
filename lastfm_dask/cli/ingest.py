"""`lastfm-dask ingest`: read a listening log into a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli import ingesting
from lastfm_dask.cli.options import PATH, compute_options, json_option
from lastfm_dask.cli.output import echo
from lastfm_dask.cli.progress import shown_progress

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.dataset.dataset import Dataset


@click.command("ingest")
@click.argument("source", nargs=-1, required=True)
@click.option("-o", "--output", type=PATH, required=True, help="The dataset directory to make.")
@click.option(
    "--append-to",
    type=PATH,
    help="Put the rows of this dataset before SOURCE's. Its indices stay, and the output equals"
    " ingesting both sources in order, without the old one.",
)
@ingesting.ingest_options
@compute_options
@json_option
def command(source: tuple[str, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Read SOURCE, a listening log, into a dataset: mappings, statistics, one CSR matrix.

    SOURCE is a file, several, or a glob; plain, .gz, .bz2, .xz, .zst, .zip, or the .tar.gz as published; Parquet or Arrow IPC
    (Feather), also a folder of such files; local or an address such as s3://bucket/key. No row is lost without a record: rejects.tsv in the dataset holds those that were not
    kept, and why.
    """
    from lastfm_dask.cli.output import echo_json

    dataset = run_ingest(source, output, options)
    if as_json:
        echo_json(dataset_json(dataset))
    else:
        show_dataset(dataset)
        echo(f"Wrote {output}. Next: lastfm-dask train {output} -o MODEL")
    ingesting.show_warnings(dataset)


def run_ingest(source: tuple[str, ...], output: Path, options: dict[str, Any]) -> Dataset:
    """Ingest, with the plan on stderr first, and progress on a terminal."""
    from lastfm_dask.ingestion.pipeline import ingest

    with shown_progress() as progress:
        return ingest(
            source,
            output,
            ingesting.ingest_options_of(options),
            resources=ingesting.resources_of(options),
            progress=progress,
        )


def dataset_json(dataset: Dataset) -> dict[str, Any]:
    """Return what `ingest --json` prints: the statistics, what was allowed, the stages, the reconciliation."""
    from lastfm_dask.dataset.store import read_receipts
    from lastfm_dask.memory.meter import stages_json

    receipts = read_receipts(dataset.path)
    return {
        "dataset": str(dataset.path),
        "fingerprint": dataset.fingerprint,
        **dataset.statistics,
        "allowed_bytes": receipts["allowed_bytes"],
        "stages": stages_json(receipts["stages"]),
        "reconciliation": dataset.manifest.content["reconciliation"],
        "warnings": dataset.manifest.content.get("warnings", []),
    }


def show_dataset(dataset: Dataset) -> None:
    """Print what an ingest found, and what it took."""
    from lastfm_dask.cli import summary
    from lastfm_dask.dataset.store import read_receipts

    summary.print_statistics(dataset.statistics)
    show_reconciliation(dataset)
    summary.print_stages(read_receipts(dataset.path)["stages"])


def show_reconciliation(dataset: Dataset) -> None:
    """Print how the rows of the source became the values of the matrix."""
    from lastfm_dask.cli import summary

    content = dataset.manifest.content
    ids_are_sha1 = content.get("settings", {}).get("format") == "lastfm-360k"
    summary.print_reconciliation(content["reconciliation"], ids_are_sha1=ids_are_sha1)

"""`verify`: check a dataset or model against its checksums, and a source file against the published ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo, echo_json, echo_words, format_cell
from lastfm_dask.cli.progress import shown_progress
from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.errors import BadInputError
from lastfm_dask.sources import published

if TYPE_CHECKING:
    from lastfm_dask.dataset.layout import Manifest
    from lastfm_dask.sources.published import Checksums


@click.command()
@click.argument("path", type=PATH, required=False)
@click.option("--source", metavar="FILE", help="A log or archive to check too, or alone.")
@json_option
def command(path: Path | None, source: str | None, as_json: bool) -> None:
    """Check a dataset or model against its checksums, or a source against its own.

    PATH is a dataset or a model: every file's SHA-256 is compared with the manifest's, and all arrays are looked
    through for values that can't be. With --source a listening log, or the archive it comes in, is read to its end:
    its MD5 is compared with the published one, and its size with what the dataset at PATH records of its source.

    Exits with 5 if the dataset or model is damaged, and with 3 if the source is not the expected file.
    """
    if path is None and source is None:
        msg = "name a dataset or a model, or a log with --source, or both"
        raise click.UsageError(msg)
    result: dict[str, Any] = {}
    manifest = None
    if path is not None:
        manifest = verify_directory(path, layout.DATASET, layout.MODEL)
        _check_arrays(path, manifest)
        result |= directory_result(path, manifest)
    if source is not None:
        with shown_progress() as tell:
            found = published.checksums(source, partial(tell, f"reading {source}"))
        refuse_mistaken(found)
        result["source"] = source_result(found)
        if manifest is not None:
            result["source"]["recorded"] = recorded_source(manifest, found)
    if as_json:
        echo_json(result)
    else:
        _show(result)


def _check_arrays(path: Path, manifest: Manifest) -> None:
    """Look through the arrays of a directory whose checksums are right: they may have been replaced together."""
    if manifest.kind == layout.MODEL.name:
        from lastfm_dask.recommender.model_files import ModelFiles

        ModelFiles(path).check()
        return
    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.ingestion.summed import open_summed

    dataset = Dataset(path)
    _ = dataset.csr
    dataset.check_listens()
    if layout.SUMMED in manifest.files:
        open_summed(dataset)


def directory_result(path: Path, manifest: Manifest) -> dict[str, Any]:
    """Return what `verify --json` prints for a directory whose checksums match."""
    return {
        "path": str(path),
        "kind": manifest.kind,
        "created": manifest.created,
        "fingerprint": manifest.fingerprint,
        "files": [{"file": name, **_entry(entry)} for name, entry in manifest.files.items()],
    }


def _entry(entry: layout.FileEntry) -> dict[str, Any]:
    return {"size_bytes": entry.size_bytes, "sha256": entry.sha256}


def source_result(found: Checksums) -> dict[str, Any]:
    """Return what `verify --json` prints for a source file."""
    return {
        "path": found.file.path,
        "size_bytes": found.size_bytes,
        "md5": found.md5,
        "sha256": found.sha256,
        "log_md5": found.log_md5,
        "published": None if found.published is None else found.published.name,
    }


def refuse_mistaken(found: Checksums) -> None:
    """Raise BadInputError for a file that has a published file's size, or its archive's name, but other bytes."""
    known = found.mistaken_for
    if known is not None:
        msg = (
            f"{found.file.path} is damaged or incomplete: it has {found.size_bytes} bytes and the MD5 {found.md5}, but"
            f" the published {known.name} has {known.size_bytes} bytes and the MD5 {known.md5}; fetch it again"
        )
        raise BadInputError(msg, path=found.file.path)


def recorded_source(manifest: Manifest, found: Checksums) -> dict[str, Any] | None:
    """Return what a dataset records about a source file, and whether its time is still the same.

    None if the directory records no source, as a model does.

    Raises
    ------
    BadInputError
        If the dataset was made of other files, or the file had another size.
    """
    files = manifest.content.get("source", {}).get("files", [])
    if not files:
        return None
    path = Path(found.file.path)
    same_path = [entry for entry in files if Path(entry["path"]).absolute() == path.absolute()]
    same_name = [entry for entry in files if Path(entry["path"]).name == path.name]
    entry = next(iter(same_path or same_name), None)
    if entry is None:
        names = ", ".join(entry["path"] for entry in files)
        msg = f"{path} is not a file that the dataset was made of: {names}"
        raise BadInputError(msg, path=str(path))
    if entry["size_bytes"] != found.size_bytes:
        msg = (
            f"{path} has {found.size_bytes} bytes, but {entry['path']} had {entry['size_bytes']} when the dataset was"
            " made of it: it is another file, or it was changed; ingest it again"
        )
        raise BadInputError(msg, path=str(path))
    return {**entry, "same_version": entry["version"] == found.file.version}


def _show(result: dict[str, Any]) -> None:
    if "path" in result:
        n_bytes = sum(file["size_bytes"] for file in result["files"])
        kind = result["kind"].removeprefix("lastfm_dask.")
        echo_words(
            f"{result['path']}: a {kind} of {result['created']}, {len(result['files'])} files,"
            f" {format_cell(n_bytes)} bytes: every checksum matches"
        )
        echo(f"fingerprint {result['fingerprint']}")
    if "source" in result:
        _show_source(result["source"])


def _show_source(source: dict[str, Any]) -> None:
    echo(f"{source['path']}: {format_cell(source['size_bytes'])} bytes")
    echo(f"MD5 {source['md5']}\nSHA-256 {source['sha256']}")
    if source["published"] is None:
        names = " nor ".join(known.name for known in published.FILES)
        echo_words(f"This is not a published file: its MD5 matches neither {names}.")
    elif source["log_md5"] is None:
        echo(f"This is the published {source['published']}.")
    else:
        echo(f"The log inside is the published {source['published']}.")
    if source.get("recorded"):
        same = "and" if source["recorded"]["same_version"] else "but not"
        echo(f"It has the size {same} the modification time that the dataset records for its source.")

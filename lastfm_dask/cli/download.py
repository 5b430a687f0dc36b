"""`download`: fetch a published data set and check it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo
from lastfm_dask.download import DATA_SETS

if TYPE_CHECKING:
    from pathlib import Path

_NEXT = {
    "lastfm-360k": "lastfm-dask run {0}",
    "hetrec-2k": "lastfm-dask run {1} --format hetrec-2k --artist-names {2}",
}


@click.command()
@click.argument("name", type=click.Choice(list(DATA_SETS)))
@click.option("-o", "--output", "folder", type=PATH, required=True, help="The folder to write to.")
@click.option("--accept-terms", is_flag=True, help="Agree to the publisher's terms without a prompt.")
@click.option("--url", metavar="ADDRESS", help="Fetch from this mirror (https).")
@click.option("--proxy", metavar="ADDRESS", help="Use this proxy.  [default: https_proxy in the environment]")
@json_option
def command(
    name: str, folder: Path, accept_terms: bool, url: str | None, proxy: str | None, as_json: bool
) -> None:
    """Fetch a published data set into a folder and check its MD5.

    An interrupted download resumes. The file gets its final name once its MD5 matches the published one.
    """
    from lastfm_dask.cli.output import echo_json
    from lastfm_dask.cli.progress import shown_progress
    from lastfm_dask.download import download

    wanted = DATA_SETS[name]
    if not accept_terms:
        echo(f"{wanted.file.name}: {wanted.terms}\nTerms and description: {wanted.page}", err=True)
        if not _agreed():
            msg = "nothing was fetched: pass --accept-terms to agree to the terms"
            raise click.UsageError(msg)
    with shown_progress() as progress:
        files = download(name, folder, url=url, proxy=proxy, progress=progress)
    if as_json:
        echo_json({"name": name, "files": [str(file) for file in files], "md5": wanted.file.md5})
        return
    for file in files:
        echo(str(file))
    echo(f"MD5 {wanted.file.md5}, as published. Next: {_NEXT[name].format(*files)}")


def _agreed() -> bool:
    """Ask for agreement; the end of the input, or an interrupt, is a no."""
    try:
        return click.confirm("Do you agree to these terms?", err=True)
    except click.Abort:
        return False

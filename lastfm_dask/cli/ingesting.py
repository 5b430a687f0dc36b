"""Options that `ingest`, `run` and `plan` share: how to read a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastfm_dask.cli.options import PATH, like_option
from lastfm_dask.engine.base import STALL_TIMEOUT_S
from lastfm_dask.interactions.formats import DEFAULT_FORMAT, FORMATS
from lastfm_dask.interactions.schema import FLOAT, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastfm_dask.dataset.dataset import Dataset
    from lastfm_dask.ingestion.options import IngestOptions, Resources
    from lastfm_dask.interactions.formats import SchemaOptions

F = TypeVar("F", bound="Callable[..., Any]")


class RejectsType(click.ParamType):  # type: ignore[type-arg]  # older click has it without arguments
    """A number of rows, or a share of them such as `5%`, which stays text."""

    name = "N|P%"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number or the share; fails with click's usage error."""
        from lastfm_dask.errors import BadInputError
        from lastfm_dask.ingestion.doubts import most_rejects

        text = str(value).strip()
        try:
            most = most_rejects(text, 0)
        except BadInputError as error:
            self.fail(str(error), param, ctx)
        return text if "%" in text else most or 0


def show_warnings(dataset: Dataset) -> None:
    """Print what looks wrong about a dataset's source, on stderr, after everything else."""
    from lastfm_dask.cli.output import echo_warning

    for warning in dataset.manifest.content.get("warnings", []):
        echo_warning(warning)


def schema_options(function: F) -> F:
    """Add the options that describe the fields of a source; `schema_of` reads them."""
    for option in reversed(
        (
            click.option(
                "--format",
                help=f"A published format: {', '.join(FORMATS)}.  [default: {DEFAULT_FORMAT}, without --columns]",
            ),
            click.option(
                "--columns",
                metavar="ROLES",
                help="Roles of the fields, in order: user, mbid, artist, plays, time, or - for one that is not read."
                " Or by the header's names: user=userID,artist=artistID,plays=weight.",
            ),
            click.option(
                "--delimiter",
                metavar="TEXT",
                help=r"Separator of the fields, one or several characters, such as , or ::; \t is a tab.  [default: \t]",
            ),
            click.option(
                "--header/--no-header", default=None, help="Whether the first line names the columns."
            ),
            click.option(
                "--quote",
                metavar="CHAR",
                help="The character around fields that hold delimiters or line ends (RFC 4180), such as '\"'."
                "  [default: quotes are text]",
            ),
            click.option(
                "--encoding",
                metavar="CODEC",
                help="The text's encoding, any that Python has; a byte order mark overrides it.  [default: utf-8]",
            ),
            click.option(
                "--values",
                type=click.Choice((WHOLE, FLOAT)),
                help="How plays are written: whole (49 or 49.0), or float for any positive number, such as"
                " ratings or seconds.  [default: whole; digits only in lastfm-360k]",
            ),
            click.option(
                "--events",
                is_flag=True,
                help="Each row is one listen: there is no plays column; listens are counted.",
            ),
            click.option(
                "--keep-case", is_flag=True, help="Keep the case of artist names; else lower-case them."
            ),
            click.option(
                "--with-mbid", is_flag=True, help="Read MBIDs; keep the most frequent of each artist."
            ),
        )
    ):
        function = option(function)
    return function


def ingest_options(function: F) -> F:
    """Add the options for reading a source into a dataset; `ingest_options_of` reads them."""
    for option in reversed(
        (
            click.option(
                "--artist-names", type=PATH, help="Show names from this file in place of artist ids."
            ),
            click.option("--strict", is_flag=True, help="Fail with exit code 3 on any rejected row."),
            click.option(
                "--max-rejects",
                type=RejectsType(),
                help="Fail with exit code 3 if more rows are rejected: a number, or a share such as 5%.",
            ),
            click.option("--add-user", metavar="ID", help="Append a user whose favourites --like gives."),
            like_option,
            click.option(
                "--stall-timeout",
                "stall_timeout_s",
                type=click.FloatRange(min=0, min_open=True),
                help=f"Fail if the cluster finishes no block within this many seconds.  [default: {STALL_TIMEOUT_S:g}]",
            ),
        )
    ):
        function = option(function)
    return schema_options(function)


def schema_of(options: dict[str, Any]) -> SchemaOptions:
    """Return the values of `schema_options`."""
    from lastfm_dask.interactions.formats import SchemaOptions

    columns, delimiter = options["columns"], options["delimiter"]
    return SchemaOptions(
        format=options["format"],
        columns=tuple(role.strip() for role in columns.split(",")) if columns is not None else None,
        delimiter=None if delimiter is None else delimiter.replace(r"\t", "\t"),
        header=options["header"],
        quote=options["quote"],
        encoding=options["encoding"],
        values=options["values"],
        events=options["events"],
        keep_case=options["keep_case"],
        with_mbid=options["with_mbid"],
    )


def ingest_options_of(options: dict[str, Any]) -> IngestOptions:
    """Return the values of `ingest_options`."""
    from lastfm_dask.dataset.likes import read_likes
    from lastfm_dask.ingestion.options import IngestOptions

    return IngestOptions(
        schema=schema_of(options),
        max_rejects=0 if options["strict"] else options["max_rejects"],
        artist_names=options["artist_names"],
        add_user=options["add_user"],
        likes=read_likes(options["likes"]),
        append_to=options.get("append_to"),
    )


def resources_of(options: dict[str, Any]) -> Resources:
    """Return the values of `compute_options`."""
    from lastfm_dask.ingestion.options import Resources

    file = options["scheduler_file"]
    return Resources(
        memory_bytes=options["memory_bytes"],
        threads=options["threads"],
        block_bytes=options["block_bytes"],
        scheduler=options["scheduler"],
        scheduler_file=None if file is None else str(file),
        stall_timeout_s=options.get("stall_timeout_s") or STALL_TIMEOUT_S,
    )

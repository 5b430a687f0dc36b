"""Options that several commands share, one decorator each, and the types of their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastfm_dask.errors import BadInputError
from lastfm_dask.memory.sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


class SizeType(click.ParamType):  # type: ignore[type-arg]  # older click has it without arguments
    """Bytes, KiB, MiB or GiB, as an integer of bytes."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes; fails with click's usage error."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except BadInputError as error:
            self.fail(str(error), param, ctx)


class LikeType(click.ParamType):  # type: ignore[type-arg]
    """`NAME` or `NAME=PLAYS`, kept as written: which of the two it is depends on the names that are known."""

    name = "NAME[=PLAYS]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the text."""
        return str(value)


SIZE = SizeType()
PATH = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")
like_option = click.option(
    "--like",
    "likes",
    type=LikeType(),
    multiple=True,
    help="An artist that the listener likes, with plays (30 unless said). Repeat it for more.",
)


def compute_options(function: F) -> F:
    """Add the options of all commands that compute: memory, threads, block size and scheduler."""
    for option in reversed(
        (
            click.option("--memory", "memory_bytes", type=SIZE, help="Use at most this much memory."),
            click.option("--threads", type=click.IntRange(1), help="Use at most this many threads."),
            click.option(
                "--block-size", "block_bytes", type=SIZE, help="Read the log in blocks of this size."
            ),
            click.option("--scheduler", metavar="ADDRESS", help="Scan on this Dask cluster."),
            click.option("--scheduler-file", type=PATH, help="Scan on the cluster that this file names."),
        )
    ):
        function = option(function)
    return function

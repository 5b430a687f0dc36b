"""Options that several commands share, one decorator each, and their types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastfm_dask.errors import BadInputError
from lastfm_dask.memory.sizes import parse_memory, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastfm_dask.training.settings import TrainSettings

F = TypeVar("F", bound="Callable[..., Any]")


class SizeType(click.ParamType):  # type: ignore[type-arg]  # older click has it without arguments
    """Bytes, with the units that `parse_size` accepts."""

    name = "SIZE"
    parse: Callable[[str], int] = staticmethod(parse_size)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes; fails with click's usage error."""
        if isinstance(value, int):
            return value
        try:
            return self.parse(str(value))
        except BadInputError as error:
            self.fail(str(error), param, ctx)


class MemoryType(SizeType):
    """A memory limit; a bare number below 1 Mi is refused, with the likely meaning."""

    parse = staticmethod(parse_memory)


class AutoType(click.ParamType):  # type: ignore[type-arg]
    """A number, or `auto`."""

    def __init__(self, kind: type[int | float]) -> None:
        self.kind = kind
        self.name = "auto|N" if kind is int else "auto|X"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | str:
        """Return the number or the word; fails with click's usage error."""
        if value == "auto":
            return "auto"
        try:
            return self.kind(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a number and not auto", param, ctx)


class LikeType(click.ParamType):  # type: ignore[type-arg]
    """`NAME` or `NAME=PLAYS`, kept as text: which of the two it is depends on the known names."""

    name = "NAME[=PLAYS]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the text."""
        return str(value)


SIZE = SizeType()
MEMORY = MemoryType()
PATH = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON in place of tables.")
like_option = click.option(
    "--like",
    "likes",
    type=LikeType(),
    multiple=True,
    help="An artist the user likes, with plays (30 if not given). Repeatable.",
)


def from_environment(name: str) -> dict[str, Any]:
    """Return settings that let an option come from the environment, and mention it in the help."""
    return {"envvar": f"LASTFM_DASK_{name}", "show_envvar": True}


memory_option = click.option(
    "--memory",
    "memory_bytes",
    type=MEMORY,
    help="Use at most this much memory, such as 512Mi.",
    **from_environment("MEMORY"),
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), help="Use at most this many threads.", **from_environment("THREADS")
)


def settings_options(function: F) -> F:
    """Add the options for training a model, except its seed; `settings_of` reads them."""
    for option in reversed(
        (
            click.option(
                "--preset",
                type=click.Choice(["recommended", "notebook"]),
                help="Named settings.  [default: recommended]",
            ),
            click.option(
                "--model",
                type=click.Choice(("als", "neighbours", "blend", "auto")),
                help="What ranks artists: factors (als), item weights (neighbours), both (blend), or the best of these on a"
                " held-out sample (auto, the preset's).",
            ),
            click.option("--settings", "settings_file", type=PATH, help="Settings that `tune` wrote."),
            click.option("--factors", type=int, help="Latent factors per user and artist."),
            click.option(
                "--regularization",
                type=AutoType(float),
                help="Regularization of each least-squares system; auto: derived from the data.",
            ),
            click.option(
                "--alpha",
                type=AutoType(float),
                help="Factor on every confidence; auto: derived from the data.",
            ),
            click.option(
                "--iterations",
                type=AutoType(int),
                help="ALS iterations; auto: until training settles.",
            ),
            click.option(
                "--max-iterations", type=int, help="The most iterations of --iterations auto.  [default: 30]"
            ),
            click.option(
                "--weighting", type=click.Choice(["raw", "log", "bm25"]), help="How plays become confidence."
            ),
            click.option(
                "--bm25-k1",
                "bm25_k1",
                type=float,
                help="BM25's saturation: a larger value lets many plays count more.",
            ),
            click.option("--bm25-b", "bm25_b", type=float, help="BM25's length normalization, 0 to 1."),
        )
    ):
        function = option(function)
    return function


def settings_of(preset: str | None, settings_file: Path | None, **changes: Any) -> TrainSettings:
    """Return the settings that `settings_options` select: a preset or a file, with changes applied.

    Raises
    ------
    BadInputError
        If a value can't be used, or the file can't be read.
    click.UsageError
        If both a preset and a file are given.
    """
    from lastfm_dask.training import settings

    if preset and settings_file:
        msg = "--preset and --settings both name settings: choose one"
        raise click.UsageError(msg)
    if settings_file:
        return settings.TrainSettings.from_file(settings_file).changed(**changes)
    return settings.preset(preset or settings.DEFAULT_PRESET).changed(**changes)


def compute_options(function: F) -> F:
    """Add the options of every command that computes: memory, threads, block size and scheduler."""
    for option in reversed(
        (
            memory_option,
            threads_option,
            click.option(
                "--block-size",
                "block_bytes",
                type=SIZE,
                help="Read the log in blocks of this size.",
                **from_environment("BLOCK_SIZE"),
            ),
            click.option(
                "--scheduler",
                metavar="ADDRESS",
                help="Scan on this Dask cluster.",
                **from_environment("SCHEDULER"),
            ),
            click.option(
                "--scheduler-file",
                type=PATH,
                help="Scan on the cluster that this file names.",
                **from_environment("SCHEDULER_FILE"),
            ),
        )
    ):
        function = option(function)
    return function

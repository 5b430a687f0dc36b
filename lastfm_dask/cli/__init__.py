"""The command line: one module a command, loaded when it is called, and errors turned into exit codes.

Results go to stdout; progress goes to stderr when that is a terminal. `main` is the entry point.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

from lastfm_dask.cli import signals, streams
from lastfm_dask.cli.ending import exit_code
from lastfm_dask.cli.examples import epilog
from lastfm_dask.cli.log_file import add_options
from lastfm_dask.memory import allocator

COMMANDS = {
    "run": "Do it all: ingest a log, train, and answer the notebook's questions.",
    "ingest": "Read a listening log into a dataset: mappings, statistics, one CSR matrix.",
    "inspect": "Look at a file, and propose the ingest line that reads it.",
    "stats": "Show what a dataset holds: users, artists, the most heard, the distributions.",
    "train": "Train implicit's ALS on a dataset and keep the model.",
    "recommend": "Recommend artists to a user, to a list of favourites, or to all users.",
    "similar": "List the artists most like one artist.",
    "score": "Score artists for a user: the dot product of their vectors.",
    "explain": "Say how much each artist in a user's list adds to a score.",
    "evaluate": "Measure recommendations on held-out interactions.",
    "tune": "Search for the settings that recommend best on a dataset.",
    "plan": "Project memory, disk and blocks for a source, before any work.",
    "serve": "Serve a web page and a JSON API that recommend.",
    "profile": "Show how much time and memory each stage took, as a table or an HTML page.",
    "verify": "Check a dataset or model against its checksums, or a source against its own.",
    "export": "Write a dataset or a model for other tools.",
    "doctor": "Show what this machine or pod allows and what is installed.",
    "download": "Fetch a published data set and check it.",
    "synth": "Write a synthetic listening log with the real one's shape and quirks.",
    "completion": "Print the script that completes commands and options in a shell.",
}
PROGRAM = "lastfm-dask"
_VERBOSE = ("-v", "-vv", "-vvv", "--verbose")
_TRACEBACKS = ("-vv", "-vvv")
_JSON = "--json"


class LazyGroup(click.Group):
    """Knows every command's name and one-line help, and imports its module only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"lastfm_dask.cli.{cmd_name}").command
        command.epilog = epilog(cmd_name)
        add_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one, suggest similar names."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else f" See {PROGRAM} --help."
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A reader that goes away, as `head` does, is not an error; an unexpected end of a file is."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Click would exit with 1.
            ctx.exit(0)
        except EOFError as error:
            # Click would take it for the end of typed input.
            msg = f"EOFError: {error}"
            raise RuntimeError(msg) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="lastfm_dask", prog_name=PROGRAM)
@click.option("-v", "--verbose", count=True, help="Print more; twice: tracebacks of unforeseen errors.")
@click.pass_context
def cli(ctx: click.Context, verbose: int) -> None:
    """Recommend music from Last.fm listening logs, out of core.

    A log goes in; user and artist mappings, statistics, one CSR matrix and a trained implicit-ALS
    recommender come out, in a pod too small to hold the log.
    """
    ctx.obj = verbose


def main() -> NoReturn:
    """Run the command line and exit with the code that errors.py documents."""
    streams.prepare()
    arguments = sys.argv[1:]

    def command() -> int | None:
        signals.listen()
        # Before anything is imported that starts threads or asks Arrow for memory: less is kept of what was freed.
        allocator.begin()
        code: int | None = cli.main(_verbose_first(arguments), prog_name=PROGRAM, standalone_mode=False)
        return code

    verbose = any(flag in arguments for flag in _TRACEBACKS)
    sys.exit(exit_code(command, verbose=verbose, as_json=_JSON in arguments))


def _verbose_first(arguments: list[str]) -> list[str]:
    """Return the arguments with -v before the command: it belongs to the program, but people write it anywhere."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    verbose = [argument for argument in arguments[:end] if argument in _VERBOSE]
    return [
        *verbose,
        *(argument for argument in arguments[:end] if argument not in _VERBOSE),
        *arguments[end:],
    ]

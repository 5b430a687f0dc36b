"""`completion`: the script that completes commands and options in a shell."""

from __future__ import annotations

import click

from lastfm_dask.cli.options import json_option


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print the script that completes commands and options in a shell.

    Source it from the shell's start-up file (bash, zsh), or write it to ~/.config/fish/completions (fish).
    """
    from click.shell_completion import get_completion_class

    from lastfm_dask.cli import PROGRAM, cli
    from lastfm_dask.cli.output import echo_json

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    script = kind(cli, {}, PROGRAM, f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE").source()
    if as_json:
        echo_json({"shell": shell, "script": script})
    else:
        click.echo(script)

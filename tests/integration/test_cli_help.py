"""The command line explains itself: every command and option has help, and every command has --json."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from lastfm_dask.cli import COMMANDS, cli


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli {name} ")
    assert result.output.count("\n") > 5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help_and_json_is_among_them(name):
    options = [parameter for parameter in command(name).params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []
    assert any("--json" in option.opts for option in options)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name):
    """Both are for the same reader; the list's line is not cut off."""
    text = command(name).get_short_help_str(limit=10**6)
    assert text
    assert COMMANDS[name].endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_ends_with_2(name):
    assert CliRunner().invoke(cli, [name, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("--version",)])
@pytest.mark.parametrize(
    "program", [("-m", "lastfm_dask"), ("-c", "from lastfm_dask.cli import main; main()")]
)
def test_the_program_starts(program, arguments):
    done = subprocess.run([sys.executable, *program, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    if arguments == ("--version",):
        assert done.stdout.startswith("lastfm-dask, version ")
    else:
        assert all(name in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_wrong_usage():
    done = subprocess.run(
        [sys.executable, "-m", "lastfm_dask", "ingset"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "ingset" in done.stderr

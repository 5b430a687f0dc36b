"""The command line explains itself: every command and option has help, and every command has --json."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from command_line import run

from lastfm_dask.cli import COMMANDS, cli
from lastfm_dask.cli.examples import EXAMPLES

ELSEWHERE = {"download", "completion", "serve"}
"""Commands whose examples need the network or a shell, or do not end; their own tests run them."""


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
def test_the_list_of_commands_is_a_sentence_of_words_that_the_help_uses(name):
    text = CliRunner().invoke(cli, [name, "--help"]).output.lower()
    words = set(re.findall(r"[a-z]{5,}", COMMANDS[name].lower()))
    assert COMMANDS[name].endswith(".")
    assert sum(word.rstrip("s") in text for word in words) * 2 >= len(words), words


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


@pytest.mark.parametrize(
    ("typed", "meant"), [("ingset", "ingest"), ("recomend", "recommend"), ("xyz", "--help")]
)
def test_an_unknown_command_is_wrong_usage_and_near_ones_are_shown(typed, meant):
    done = run(typed, code=2)
    assert f"{typed!r}" in done.stderr
    assert meant in done.stderr


@pytest.mark.parametrize(
    "arguments", [("-vv", "stats", "x.dataset"), ("stats", "-vv", "x.dataset"), ("stats", "x.dataset", "-vv")]
)
def test_verbose_may_stand_anywhere(arguments):
    run(*arguments, code=5)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_of_the_command(name):
    text = CliRunner().invoke(cli, [name, "--help"]).output
    lines = text.partition("Examples:\n")[2].splitlines()
    assert lines
    assert all(line.strip() in EXAMPLES[name] and f"lastfm-dask {name} " in f"{line} " for line in lines)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_program(shell):
    assert "_LASTFM_DASK_COMPLETE" in run("completion", shell).stdout


def test_completion_completes():
    environment = {
        "_LASTFM_DASK_COMPLETE": "bash_complete",
        "COMP_WORDS": "lastfm-dask rec",
        "COMP_CWORD": "1",
    }
    done = run(code=None, env=environment)
    assert "recommend" in done.stdout


@pytest.mark.slow
def test_every_example_runs(tmp_path):
    rows = {"uid": [1, 1, 2], "item_id": [7, 8, 7], "n": [3, 4, 5]}
    pq.write_table(pa.table(rows), tmp_path / "log.parquet")
    for line in (line for name, lines in EXAMPLES.items() if name not in ELSEWHERE for line in lines):
        run(*shlex.split(line)[1:], cwd=tmp_path)

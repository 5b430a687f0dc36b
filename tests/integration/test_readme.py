"""README keeps its promises: its command lines can be parsed, its tables are whole, its Python runs."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import lastfm_dask
from lastfm_dask import errors
from lastfm_dask.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


METHODS = {
    "Dataset": ("users", "artists", "user_items", "statistics", "fingerprint"),
    "Recommender": ("recommend", "similar", "score", "explain", "recommend_all"),
}
"""The methods of public classes that README lists."""


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    """Return every `lastfm-dask …` line of README, of fenced blocks and of tables."""
    fences = [part for block in fenced("sh") for line in block.splitlines() for part in line.split(" && ")]
    return [
        line
        for line in fences + re.findall(r"`([^`\n]+)`", TEXT)
        if re.match(r"(\S*/)?lastfm-dask [a-z]", line)
    ]


def parse(line: str) -> None:
    """Let click take a command line apart without running it; raises click's usage errors."""
    context = click.Context(cli)
    name, command, rest = cli.resolve_command(context, shlex.split(line)[1:])
    assert command is not None
    with command.make_context(name, rest, parent=context):
        pass


@pytest.mark.parametrize("block", fenced("sh")[:2])
def test_the_first_two_commands_are_one_line_each_that_any_shell_takes(block):
    assert block.count("\n") == 1
    assert block.startswith("python3 -m venv .venv && ")
    assert ".ci/requirements.lock" in block
    assert subprocess.run(["sh", "-n", "-c", block], timeout=60).returncode == 0


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_a_command_line_parses(line):
    try:
        parse(line)
    except click.UsageError as error:
        pytest.fail(error.format_message())


def test_every_command_stands_in_the_table_of_commands():
    rows = re.findall(r"^\| `([a-z]+)[ `]", TEXT.split("## Commands")[1].split("\n## ")[0], re.MULTILINE)
    assert rows == list(COMMANDS)


def test_every_exit_code_stands_in_its_table():
    rows = set(re.findall(r"^\| (\d+)\b", TEXT.split("## Exit codes")[1].split("\n## ")[0], re.MULTILINE))
    classes = {
        c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.LastfmDaskError)
    }
    assert {str(c.exit_code) for c in classes} | {"0", "2", "130"} == rows


def test_links_inside_the_project_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_reason_to_reject_a_row_is_named():
    from lastfm_dask.interactions.schema import REASONS

    named = re.findall(r"`([a-z_0-9]+)`", TEXT.split("the first that holds:")[1].split("**")[0])
    assert tuple(named) == REASONS


def reference() -> str:
    """Return the table of the public Python API, from the docstrings."""
    lines = ["| name | |", "| --- | --- |"]
    for name in lastfm_dask.__all__:
        found = getattr(lastfm_dask, name)
        lines.append(f"| `{name}` | {sentence(found)} |")
        methods = {method: inspect.getattr_static(found, method) for method in METHODS.get(name, ())}
        lines += [f"| `{name}.{method}` | {sentence(one)} |" for method, one in methods.items()]
    return "\n".join(lines)


def sentence(found: object) -> str:
    return (inspect.getdoc(found) or "").partition("\n")[0].replace("|", "\\|")


def test_the_reference_is_what_the_docstrings_say():
    assert reference() in TEXT, f"put this into README, section Python:\n{reference()}"


def test_the_python_examples_run(tmp_path):
    from lastfm_dask.synthesis import LogSize, write_log

    write_log(tmp_path / "log.tsv", LogSize.for_users(300), 0)
    for block in fenced("python"):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr

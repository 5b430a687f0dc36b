"""Shared options: sizes become bytes, names stay as they are written, wrong values are usage errors."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from lastfm_dask.cli.options import compute_options, json_option, like_option


@click.command()
@compute_options
@like_option
@json_option
def command(**values):
    click.echo(json.dumps(values, default=str))


def run(*arguments):
    return CliRunner().invoke(command, arguments)


def values(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_nothing_is_chosen_unless_said():
    assert values() == {
        "memory_bytes": None,
        "threads": None,
        "block_bytes": None,
        "scheduler": None,
        "scheduler_file": None,
        "likes": [],
        "as_json": False,
    }


def test_sizes_are_bytes():
    found = values("--memory", "1.5GiB", "--block-size", "4096")
    assert (found["memory_bytes"], found["block_bytes"]) == (3 << 29, 4096)


def test_favourites_keep_their_order_and_text():
    likes = ["black eyed peas=30", "a=b", "sigur rós", ""]
    assert values(*(part for name in likes for part in ("--like", name)))["likes"] == likes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--memory", "512XB"), "KiB, MiB, GiB"),
        (("--memory", "0"), "not a size"),
        (("--block-size", "-1"), "not a size"),
        (("--threads", "0"), "x>=1"),
        (("--threads", "two"), "not a valid integer"),
    ],
)
def test_a_wrong_value_is_a_usage_error_that_says_what_is_allowed(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output

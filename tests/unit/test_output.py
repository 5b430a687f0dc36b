"""What commands print: strict JSON on one line, and tables that keep every character of a name."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.cli.output import echo_json, format_cell, print_table, to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def refuse(name):
    pytest.fail(f"{name} is no JSON")


def same_but_for_nan(given_value, found):
    if isinstance(given_value, float):
        return found == given_value if math.isfinite(given_value) else found is None
    if isinstance(given_value, list):
        return len(given_value) == len(found) and all(map(same_but_for_nan, given_value, found))
    if isinstance(given_value, dict):
        return given_value.keys() == found.keys() and all(
            same_but_for_nan(v, found[k]) for k, v in given_value.items()
        )
    return given_value == found


@given(VALUES)
def test_json_is_strict_and_says_the_same(value):
    text = to_json(value)
    assert "\n" not in text
    assert same_but_for_nan(value, json.loads(text, parse_constant=refuse))


def test_json_is_not_escaped(capsys):
    echo_json({"artist": "sigur rós", "plays": float("nan")})
    assert capsys.readouterr().out == '{"artist": "sigur rós", "plays": null}\n'


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (1234.5, "1,234.5"),
        (2.0, "2"),
        (0.00004, "0"),
        (math.inf, "–"),
        ("1234", "1234"),
    ],
)
def test_cells(cell, text):
    assert format_cell(cell) == text


@pytest.mark.parametrize(
    "name", ["[red]markup[/red]", ":smiley:", "12:30 http://x.y", "björk", "a" * 300, "東京事変"]
)
def test_a_table_keeps_names_as_they_are(capsys, name):
    print_table("most heard", ("artist", "plays"), [(name, 1234)])
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0].strip() == "most heard"
    assert "1,234" in printed
    # A name longer than the table is folded, nothing of it is cut off.
    assert name in "".join(line[:112].strip() if len(name) > 100 else line for line in lines).replace(
        "1,234", ""
    )
    assert "\x1b" not in printed


def test_a_table_without_rows_still_shows_its_heads(capsys):
    print_table("", ("artist", "plays"), [])
    assert "artist" in capsys.readouterr().out

"""What commands print: strict JSON on one line, and tables that keep every character of a name."""

from __future__ import annotations

import io
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.cli.output import echo_json, echo_words, format_cell, format_column, print_table
from lastfm_dask.display import to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def refuse(name):
    pytest.fail(f"{name} is not JSON")


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
    assert printed.splitlines()[0].strip() == "most heard"
    assert "1,234" in printed
    assert name in printed
    assert "\x1b" not in printed


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, width, *table):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    print_table(*table)
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_numbers_are_never_cut_and_lines_never_wider_than_the_screen(monkeypatch, width):
    rows = [("a name that is much longer than the screen " * 3, 17_559_530, 3_778_545_583), ("b", 2, 3)]
    printed = shown(monkeypatch, width, "", ("artist", "listeners", "plays"), rows)
    assert "17,559,530" in printed
    assert "3,778,545,583" in printed
    assert max(len(line.rstrip()) for line in printed.splitlines()) <= width
    assert printed.replace("\n", " ").split().count("screen") == 3


def test_a_table_of_many_numbers_is_stacked_where_the_screen_is_narrow(monkeypatch):
    heads = tuple(f"figure {i}" for i in range(8))
    printed = shown(monkeypatch, 60, "", heads, [tuple(123_456_789 + i for i in range(8))])
    assert [line.split()[-1] for line in printed.splitlines() if line.strip()] == [
        f"{123_456_789 + i:,}" for i in range(8)
    ]


@pytest.mark.parametrize("width", [0, 1, 19])
def test_a_terminal_without_a_size_shows_what_one_of_80_columns_does(monkeypatch, width):
    table = ("a title", ("artist", "plays"), [("the red hot chili peppers", 1234)])
    assert shown(monkeypatch, width, *table) == shown(monkeypatch, 80, *table)


def test_a_long_name_in_a_stack_stays_beside_its_head(monkeypatch):
    printed = shown(
        monkeypatch, 24, "", ("artist", "listeners"), [("the red hot chili peppers", 123_456_789)]
    )
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    assert lines == ["artist     the red hot", "           chili peppers", "listeners  123,456,789"]


@pytest.mark.parametrize("width", [40, 80])
def test_lines_on_a_terminal_break_between_words(monkeypatch, width):
    text = "source    22.6 MiB: about 244,402 rows, 5,180 users, 35,040 artists (estimated from a sample)"
    monkeypatch.setenv("COLUMNS", str(width))
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    echo_words(f"{text}\nnext", indent=10)
    lines = screen.getvalue().splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= width
    assert all(line.startswith(" " * 10) for line in lines[1:-1])
    assert " ".join(screen.getvalue().split()) == " ".join(f"{text} next".split())


def test_piped_lines_are_not_broken(capsys):
    echo_words("word " * 100 + "end")
    assert capsys.readouterr().out == "word " * 100 + "end\n"


def test_a_long_path_loses_its_middle(monkeypatch):
    path = "/data/" + "deep/" * 40 + "log.dataset"
    printed = shown(monkeypatch, 60, "", ("path",), [(path,)])
    assert "/data/" in printed
    assert "log.dataset" in printed
    assert "…" in printed


def test_decimals_are_one_number_a_column():
    assert format_column([0.5, 0.25, 1]) == ["0.50", "0.25", "1"]
    assert format_column([0.76, 0.07]) == ["0.76", "0.07"]
    assert format_column([0.12345, 0.5]) == ["0.1235", "0.5000"]
    assert format_column([49.0, 92.5]) == ["49.0", "92.5"]
    assert format_column([1234.5, 2.25]) == ["1,234", "2"]
    assert format_column([2.0, 3.0, None]) == ["2", "3", "–"]
    assert format_column([12.343, math.nan]) == ["12.34", "–"]
    assert format_column(["x", 0.5]) == ["x", "0.5"]


def test_a_table_without_rows_says_so(capsys):
    print_table("recommended to u1", ("artist", "score"), [])
    print_table("", ("artist", "plays"), [])
    assert capsys.readouterr().out == "recommended to u1: none\nnone\n"

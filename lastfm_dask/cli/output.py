"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console


def to_json(value: Any) -> str:
    """Return one line of JSON, UTF-8 not escaped; a missing number (NaN, infinity) is null.

    Bytes in a file's name that are no UTF-8 become JSON's escapes.
    """
    text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace").decode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value


def echo_json(value: Any) -> None:
    """Print one line of JSON to stdout."""
    click.echo(to_json(value))


def console() -> Console:
    """Return a rich console on stdout that colours nothing inside names and never wraps when piped."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    return Console(highlight=False, markup=False, emoji=False, width=width)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: numbers to the right with thousands separated, texts to the left.

    Parameters
    ----------
    title : str
        The line above; empty for none.
    columns : sequence of str
        The heads.
    rows : iterable of sequence
        Each as long as `columns`: int, float, str or None.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        numeric = any(isinstance(row[i], (int, float)) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(format_cell(cell)) for cell in row))
    if title:
        # Not the table's own title, which is wrapped to the table's width.
        console().print(Text(title, style="bold"), soft_wrap=True)
    console().print(table)


def format_cell(cell: object) -> str:
    """Return a cell's text: thousands separated, four significant decimals, an en dash for nothing."""
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.4f}".rstrip("0").rstrip(".") if math.isfinite(cell) else "–"
    return str(cell)

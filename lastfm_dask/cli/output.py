"""What commands print: JSON for programs, tables for people."""

from __future__ import annotations

import math
import sys
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lastfm_dask.display import is_utf8, to_json, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, JustifyMethod

_PIPED_WIDTH = 1 << 16
_GAP = 3
"""Columns of the screen between two columns of a table."""
_LEAST_TEXT = 12
"""The least width of a text column."""
_LEAST_WIDTH = 20
"""A terminal that says it is narrower is taken for one of 80 columns: COLUMNS is 0 where nobody set its size."""


def echo(text: str = "", *, err: bool = False) -> None:
    """Print lines for people; control characters in names are escaped, never sent."""
    click.echo(visible(text, keep_lines=True), err=err)


def echo_words(text: str, *, err: bool = False, indent: int = 0, **style: Any) -> None:
    """Print lines for people; a terminal gets them broken between words, indented from the second line on."""
    text = visible(text, keep_lines=True)
    if (sys.stderr if err else sys.stdout).isatty():
        width = max(console(err=err).width, indent + _LEAST_TEXT)
        text = "\n".join(
            textwrap.fill(
                line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
            )
            for line in text.split("\n")
        )
    click.echo(click.style(text, **style) if style else text, err=err)


def echo_warning(text: str) -> None:
    """Print what people must know, on stderr."""
    echo_words(f"WARNING: {text}", err=True, fg="yellow", bold=True)


def echo_json(value: Any, *, err: bool = False) -> None:
    """Print one line of JSON: UTF-8, or ASCII where the stream is neither."""
    stream = sys.stderr if err else sys.stdout
    click.echo(to_json(value, ascii_only=not is_utf8(stream.encoding)), err=err)


def console(*, err: bool = False) -> Console:
    """Return a rich console that does not colour names; piped output is never wrapped or cut."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    screen = Screen(highlight=False, markup=False, emoji=False, stderr=err)
    if not screen.file.isatty():
        screen.width = _PIPED_WIDTH
    elif screen.width < _LEAST_WIDTH:
        screen.width = 80
    return screen


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table that fits the terminal: numbers are never cut; long texts wrap.

    Numbers are right-aligned, with thousands separators and equal decimals within a column. If the numbers
    alone are too wide, each row is printed as a block of lines. Without a row, the title says so.

    Parameters
    ----------
    title : str
        The line above; empty for none.
    columns : sequence of str
        The heads.
    rows : iterable of sequence
        Each as long as `columns`: int, float, str or None.
    """
    from rich.text import Text

    cells = [list(row) for row in rows]
    screen = console()
    if not cells:
        screen.print(Text(f"{visible(title)}: none" if title else "none", style="bold"), soft_wrap=True)
        return
    texts = [
        list(column)
        for column in zip(*(format_column(column) for column in zip(*cells, strict=True)), strict=True)
    ]
    numeric = [any(isinstance(row[i], (int, float)) for row in cells) for i in range(len(columns))]
    if title:
        # Not the table's own title, which is wrapped to the table's width.
        screen.print(Text(visible(title), style="bold"))
    widths = _fitted(columns, texts, numeric, screen.width)
    if widths is None:
        _print_stacked(screen, columns, texts)
    else:
        _print_grid(screen, columns, texts, numeric, widths)


def _fitted(
    columns: Sequence[str], texts: list[list[str]], numeric: list[bool], screen_width: int
) -> list[int] | None:
    """Return each column's width: what it needs, less for texts where the screen is narrow; None if nothing fits."""
    from rich.cells import cell_len

    widths = [max([cell_len(head), *(cell_len(row[i]) for row in texts)]) for i, head in enumerate(columns)]
    spare = screen_width - sum(widths) - _GAP * len(widths)
    while spare < 0:
        shrinkable = [
            i
            for i, width in enumerate(widths)
            if not numeric[i] and width > max(_LEAST_TEXT, cell_len(columns[i]))
        ]
        if not shrinkable:
            return None
        widest = max(shrinkable, key=widths.__getitem__)
        widths[widest] -= 1
        spare += 1
    return widths


def _print_grid(
    screen: Console, columns: Sequence[str], texts: list[list[str]], numeric: list[bool], widths: list[int]
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, is_number, width in zip(columns, numeric, widths, strict=True):
        justify: JustifyMethod = "right" if is_number else "left"
        table.add_column(name, justify=justify, no_wrap=is_number, width=width, overflow="ellipsis")
    for row in texts:
        table.add_row(*(Text(shortened(text, width)) for text, width in zip(row, widths, strict=True)))
    screen.print(table)


def _print_stacked(screen: Console, columns: Sequence[str], texts: list[list[str]]) -> None:
    from rich.text import Text

    label = max(map(len, columns))
    width = max(_LEAST_TEXT, screen.width - label - 2)
    screen.print()
    for row in texts:
        for name, text in zip(columns, row, strict=True):
            for head, piece in zip_longest([name], Text(shortened(text, width)).wrap(screen, width)):
                screen.print(Text.assemble((head or "").ljust(label), "  ", piece or ""))
        screen.print()


def shortened(text: str, width: int) -> str:
    """Return a path that is too long without its middle; its beginning and its end tell more. Other texts stay."""
    if len(text) <= width or "/" not in text:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def format_column(cells: Sequence[object]) -> list[str]:
    """Return the texts of a column: numbers with the decimals that its largest needs for four digits, or fewer."""
    numbers = [cell for cell in cells if isinstance(cell, float) and math.isfinite(cell)]
    others = [cell for cell in cells if isinstance(cell, (str, bool))]
    if not numbers or others:
        return [format_cell(cell) for cell in cells]
    largest = max(map(abs, numbers))
    most = max(0, min(4, 4 - len(str(int(largest)).lstrip("0"))))
    # No more than some number has: times that were rounded to hundredths do not end in zeros.
    decimals = next(
        d for d in range(most + 1) if d == most or all(round(n, d) == round(n, most) for n in numbers)
    )
    return [
        f"{cell:,.{decimals}f}" if isinstance(cell, float) and math.isfinite(cell) else format_cell(cell)
        for cell in cells
    ]


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
    return visible(str(cell))

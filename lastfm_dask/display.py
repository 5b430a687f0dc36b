"""How results show themselves: as text, as an HTML table in a notebook, as a pandas data frame.

Imports nothing until it is asked. Everything that comes from data is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_ROWS = 30
"""Rows of a table that are shown; a data frame has all."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a result shows.

    Attributes
    ----------
    title : str
        One line.
    columns : sequence of str
    rows : sequence of sequence
        Each as long as `columns`.
    note : str
        A line below; empty for none.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]] = field(default=())
    note: str = ""


class Shown:
    """A result that shows itself. A subclass gives `_table`."""

    __slots__ = ()

    def _table(self) -> Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the table as aligned text."""
        table = self._table()
        cells = [[_text(cell) for cell in row] for row in table.rows[:_SHOWN_ROWS]]
        widths = [max(map(len, column)) for column in zip(table.columns, *cells, strict=True)]
        right = [_is_number(row) for row in zip(*table.rows, strict=True)] or [False] * len(widths)

        def line(row: Sequence[str]) -> str:
            aligned = (
                cell.rjust(width) if numeric else cell.ljust(width)
                for cell, width, numeric in zip(row, widths, right, strict=True)
            )
            return "  ".join(aligned).rstrip()

        lines = [table.title, *([line(table.columns)] if cells else []), *map(line, cells)]
        return "\n".join([*lines, *_rest(table)])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        table = self._table()
        numeric = [_is_number(row) for row in zip(*table.rows, strict=True)] or [False] * len(table.columns)
        style = ['style="text-align:right"' if right else 'style="text-align:left"' for right in numeric]

        def row(tag: str, cells: Sequence[Any]) -> str:
            inner = "".join(
                f"<{tag} {css}>{escape(_text(cell))}</{tag}>" for cell, css in zip(cells, style, strict=True)
            )
            return f"<tr>{inner}</tr>"

        body = "".join(row("td", cells) for cells in table.rows[:_SHOWN_ROWS])
        head = f"<thead>{row('th', table.columns)}</thead>" if table.rows else ""
        notes = "".join(f"<p>{escape(text)}</p>" for text in _rest(table))
        return (
            f"<p><strong>{escape(table.title)}</strong></p><table>{head}<tbody>{body}</tbody></table>{notes}"
        )

    def to_pandas(self) -> Any:
        """Return all rows as a pandas data frame, through Arrow."""
        import pyarrow as pa

        table = self._table()
        columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
        return pa.table(dict(zip(table.columns, map(list, columns), strict=True))).to_pandas()


def _rest(table: Table) -> list[str]:
    more = len(table.rows) - _SHOWN_ROWS
    found = [f"… and {more:,} more rows: to_pandas() has all"] if more > 0 else []
    return [*found, table.note] if table.note else found


def _is_number(cells: Sequence[Any]) -> bool:
    return any(isinstance(cell, int | float) for cell in cells)


def _text(cell: Any) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.4f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)

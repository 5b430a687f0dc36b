"""How results show themselves: as text, as JSON, as an HTML table in a notebook, as a pandas data frame.

Imports nothing until it is used. Everything that comes from data is escaped: control characters are shown, never
sent to the terminal.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bidirectional controls turn the order of what is shown around them; a lone surrogate is a byte that is not UTF-8.
_UNSAFE = r"\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_JSON = re.compile(f"[{_UNSAFE}]")
_IN_TEXT = re.compile(f"[\x00-\x1f{_UNSAFE}]")
_IN_LINES = re.compile(f"[\x00-\x09\x0b-\x1f{_UNSAFE}]")
_SHOWN_ROWS = 30
"""Rows of a table that are shown; a data frame has all."""


def visible(text: str, *, keep_lines: bool = False) -> str:
    r"""Return a text in which every control character is shown as an escape, so that no terminal obeys it.

    Parameters
    ----------
    text : str
        A name, or a message that holds one.
    keep_lines : bool
        Whether line feeds stay, as in a message of several lines.

    >>> visible("a\\x1b]0;b")
    'a\\\\x1b]0;b'
    """
    return (_IN_LINES if keep_lines else _IN_TEXT).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def to_json(value: Any, *, ascii_only: bool = False, indent: int | None = None) -> str:
    r"""Return JSON, always valid; a missing number (NaN, infinity) is null.

    Only control characters (C0, DEL, C1, bidirectional) and lone surrogates become `\\uXXXX`, or with
    `ascii_only` all that are not ASCII; what reads it finds the very same text.
    """
    text = json.dumps(_without_nan(value), ensure_ascii=ascii_only, allow_nan=False, indent=indent)
    return text if ascii_only else _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value


def is_utf8(encoding: str | None) -> bool:
    """Say whether a stream of this encoding takes every character; one of texts has none."""
    return encoding is None or encoding.lower().replace("-", "").replace("_", "") in ("utf8", "utf8sig")


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
    facts : sequence of (str, str)
        Names and texts shown above the rows.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]] = field(default=())
    note: str = ""
    facts: Sequence[tuple[str, str]] = field(default=(), kw_only=True)


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

        rows = [line(table.columns), *map(line, cells)] if cells else []
        between = [""] if table.facts and rows else []
        return "\n".join([visible(table.title), *_fact_lines(table), *between, *rows, *_rest(table)])

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
        facts = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(visible(text))}</td></tr>'
            for name, text in table.facts
        )
        parts = [
            f"<p><strong>{escape(visible(table.title))}</strong></p>",
            f"<table><tbody>{facts}</tbody></table>" if facts else "",
            f"<table>{head}<tbody>{body}</tbody></table>" if body else "",
            *(f"<p>{escape(text)}</p>" for text in _rest(table)),
        ]
        return f"<div>{''.join(parts)}</div>"

    def to_pandas(self) -> Any:
        """Return all rows as a pandas data frame, through Arrow."""
        import pyarrow as pa

        table = self._table()
        columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
        return pa.table(dict(zip(table.columns, map(list, columns), strict=True))).to_pandas()


def _fact_lines(table: Table) -> list[str]:
    width = max((len(name) for name, _ in table.facts), default=0)
    return [f"{name.ljust(width)}  {visible(text)}" for name, text in table.facts]


def _rest(table: Table) -> list[str]:
    more = len(table.rows) - _SHOWN_ROWS
    found = [f"… and {more:,} more rows: to_pandas() has all"] if more > 0 else []
    return [*found, visible(table.note)] if table.note else found


def _is_number(cells: Sequence[Any]) -> bool:
    return any(isinstance(cell, int | float) for cell in cells)


def _text(cell: Any) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.4f}"
    return f"{cell:,}" if isinstance(cell, int) else visible(str(cell))

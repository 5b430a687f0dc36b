"""Read lines of JSON into columns and rejects: one object a line, values by key.

Two paths with equal results, as in `reader`: Arrow's JSON reader if it accepts every line of a block, otherwise Python's.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions import fast, reader
from lastfm_dask.interactions.exact import parse_fields
from lastfm_dask.interactions.schema import MAX_LINE_BYTES, MAX_REJECT_BYTES, MBID, REASONS, Schema
from lastfm_dask.interactions.utf8 import is_utf8

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.interactions.rows import Rows

_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
"""An escape that may spell a key in another way; rare in practice."""


def read_rows(lines: bytes | bytearray, schema: Schema, *, file_start: bool) -> Rows:
    """Read a block's whole lines (see `reader.read_rows`)."""
    begin = len(fast.BOM) if file_start and lines.startswith(fast.BOM) else 0
    fields = _fast(lines, begin, schema) or JsonFields(bytes(lines[begin:]), schema)
    return reader.encoded(parse_fields(fields, schema))


class JsonFields:
    """The values of JSON lines by role, an empty text where one is missing (see `exact.Fields`)."""

    def __init__(self, lines: bytes, schema: Schema) -> None:
        import pyarrow as pa

        self._lines = _split(lines)
        self.n_lines = len(self._lines)
        self._reasons: list[int] = []
        columns: dict[str, list[str]] = {role: [] for role in schema.roles}
        paths = {
            role: _paths(name)
            for role, name in zip(schema.columns, schema.fields, strict=True)
            if role in columns
        }
        for line in self._lines:
            found = _values(line, paths)
            self._reasons.append(-1 if isinstance(found, dict) else REASONS.index(found))
            for role, texts in columns.items():
                texts.append(found[role] if isinstance(found, dict) else "")
        self._columns = {role: pa.array(texts, pa.string()) for role, texts in columns.items()}

    def reasons(self) -> npt.NDArray[np.int8]:
        """Return why each line is malformed."""
        import numpy as np

        return np.array(self._reasons, np.int8)

    def values(self, role: str, records: npt.NDArray[np.intp]) -> pa.StringArray:
        """Return a value of these lines."""
        import pyarrow as pa

        return self._columns[role].take(pa.array(records))

    def raw(self, records: npt.NDArray[np.intp]) -> pa.BinaryArray:
        """Return what is kept of these lines."""
        import pyarrow as pa

        return pa.array([self._lines[i][:MAX_REJECT_BYTES] for i in records.tolist()], pa.binary())

    def lines_of(self, records: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return the lines themselves."""
        return records


def _split(lines: bytes) -> list[bytes]:
    *ended, last = lines.split(b"\n")
    return [line.removesuffix(b"\r") for line in ended] + [last] * bool(last)


def _paths(name: str) -> list[list[str]]:
    """Return the keys that lead to a value, of each alternative.

    >>> _paths("user_name|listen.user_id")
    [['user_name'], ['listen', 'user_id']]
    """
    return [path.split(".") for path in name.split("|")]


def _values(line: bytes, paths: dict[str, list[list[str]]]) -> dict[str, str] | str:
    """Return the texts of a line by role, or the reason why it is malformed."""
    if len(line) > MAX_LINE_BYTES:
        return "line_too_long"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return "invalid_json"
    if not isinstance(row, dict):
        return "invalid_json"
    found = {role: _first(row, alternatives, listed=role == MBID) for role, alternatives in paths.items()}
    if any("\ud800" <= sign <= "\udfff" for text in found.values() for sign in text):
        return "invalid_utf8"
    return found


def _first(row: dict[str, Any], alternatives: list[list[str]], *, listed: bool) -> str:
    for path in alternatives:
        value: Any = row
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if listed and isinstance(value, list) and len(value) == 1:
            # ListenBrainz has lists of MBIDs; several belong to several artists, none of which is the joint name's.
            value = value[0] if isinstance(value[0], str) else None
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() else str(value)
    return ""


class _ArrowFields(JsonFields):
    """The same for lines that Arrow read."""

    def __init__(self, lines: bytes | bytearray, columns: dict[str, pa.StringArray], n_lines: int) -> None:
        self._data, self._columns, self.n_lines = lines, columns, n_lines
        self._reasons = [-1] * n_lines

    def raw(self, records: npt.NDArray[np.intp]) -> pa.BinaryArray:
        """Return what is kept of these lines."""
        self._lines = _split(bytes(self._data)) if len(records) else []
        return super().raw(records)


def _fast(lines: bytes | bytearray, begin: int, schema: Schema) -> _ArrowFields | None:
    """Read lines if each is an object with values of the first one's types; otherwise return None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n_lines = lines.count(b"\n", begin) + (len(lines) > begin and not lines.endswith(b"\n"))
    if not n_lines or not _is_plain(lines, begin, n_lines):
        return None
    named = [pair for pair in zip(schema.columns, schema.fields, strict=True) if pair[0] in schema.roles]
    stop = lines.find(b"\n", begin)
    try:
        first = json.loads(bytes(lines[begin : stop if stop >= 0 else len(lines)]))
        types = _types(first, lines, [path for _, name in named for path in _paths(name)])
        if types is None:
            return None
        table = _parse(pa.py_buffer(lines)[begin:], types)
    except (ValueError, RecursionError):
        return None
    if table.num_rows != n_lines:
        return None
    columns = {}
    for role, name in named:
        texts = [_column(table, path) for path in _paths(name) if tuple(path) in types]
        found = pc.coalesce(*texts, "") if texts else [""] * n_lines
        columns[role] = pa.array(found, pa.string())
    return _ArrowFields(lines[begin:], columns, n_lines)


def _is_plain(lines: bytes | bytearray, begin: int, n_lines: int) -> bool:
    """Whether each line starts and ends as an object does, none is too long, and all are valid UTF-8.

    If a line ends with a brace and the next one starts with one, one object ends and the next one starts.
    """
    starts = lines.count(b"\n{", begin) + lines.startswith(b"{", begin)
    ends = lines.count(b"}\n", begin) + lines.endswith(b"}")
    return starts == ends == n_lines and not fast.may_be_too_long(lines, begin) and is_utf8(lines)


def _types(
    first: dict[str, Any], lines: bytes | bytearray, paths: list[list[str]]
) -> dict[tuple[str, ...], str] | None:
    """Return the type of each value in the first line; None if another line may have a value that this one lacks."""
    types = {}
    for path in paths:
        value: Any = first
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        kind = {str: "string", int: "int64"}.get(type(value))
        if kind is not None:
            types[tuple(path)] = kind
        elif f'"{path[-1]}"'.encode() in lines or _ESCAPED_ASCII.search(lines):
            return None
    return types


def _parse(buffer: pa.Buffer, types: dict[tuple[str, ...], str]) -> pa.Table:
    """Return a table with the values at these paths; raises ArrowInvalid, a ValueError, where a line has others."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    tree: dict[str, Any] = {}
    for path, kind in types.items():
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = kind
    return arrow_json.read_json(
        pa.BufferReader(buffer),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=buffer.size + 1),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=pa.schema(_fields(tree)), unexpected_field_behavior="ignore"
        ),
    )


def _fields(tree: dict[str, Any]) -> list[pa.Field]:
    import pyarrow as pa

    return [
        pa.field(key, pa.struct(_fields(node)) if isinstance(node, dict) else pa.type_for_alias(node))
        for key, node in tree.items()
    ]


def _column(table: pa.Table, path: list[str]) -> pa.StringArray:
    """Return the texts at a path, null where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[path[0]].combine_chunks()
    for key in path[1:]:
        column = pc.struct_field(column, key)
    return column.cast(pa.string())

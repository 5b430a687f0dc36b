"""Read a block of a columnar file into columns and rejects; dictionaries are passed on, never decoded.

The same rules hold as for text: rows with an empty or missing name, or with plays that are not a number or out of
range, are rejected. A reject keeps the row group, the row and its values as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions.columnar import partition_values
from lastfm_dask.interactions.row_groups import batches
from lastfm_dask.interactions.rows import Reasons, Rows, joined
from lastfm_dask.interactions.schema import (
    ARTIST,
    FLOAT,
    MAX_LINE_BYTES,
    MAX_PLAYS,
    MAX_REJECT_BYTES,
    MBID,
    USER,
    Schema,
)
from lastfm_dask.interactions.values import milliseconds, parse_plays, parse_times
from lastfm_dask.sources.source_file import PARQUET

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.interactions.row_groups import Batch
    from lastfm_dask.interactions.values import Parsed, Times


def read_columns(path: str, start: int, end: int, schema: Schema) -> Rows:
    """Return the rows from `start` up to `end` of a columnar file.

    Raises
    ------
    BadInputError
        If the file can't be read.
    """
    partitions = partition_values(path)
    stored = tuple(name for name in schema.fields if name not in partitions)
    read = batches(path, schema.kind, stored, start, end)
    return joined([_read_batch(batch, schema, partitions) for batch in read])


@dataclass(frozen=True, slots=True)
class _Names:
    """One code a row, and the name of each code; code -1 is a missing name."""

    codes: npt.NDArray[np.int32]
    distinct: pa.StringArray
    invalid: npt.NDArray[np.bool_]
    """Which distinct names are not UTF-8; these are stored as empty."""

    def flagged(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return a property of names by row; False for a missing name."""
        import numpy as np

        if not flags.any():
            return np.zeros(len(self.codes), np.bool_)
        return np.append(flags, False)[self.codes]

    def kept(self, rows: npt.NDArray[np.bool_] | None) -> pa.DictionaryArray:
        """Return these rows' names, distinct ones in order of first appearance."""
        import pyarrow as pa

        codes = self.codes if rows is None else self.codes[rows]
        if _in_order(codes, len(self.distinct)):
            return pa.DictionaryArray.from_arrays(pa.array(codes), self.distinct)
        encoded = pa.array(codes).dictionary_encode()
        return pa.DictionaryArray.from_arrays(encoded.indices, self.distinct.take(encoded.dictionary))


def _in_order(codes: npt.NDArray[np.int32], n_distinct: int) -> bool:
    """Whether codes are already in order of first appearance, as in a dictionary that was built with its rows."""
    import numpy as np

    if not len(codes) or codes[0] or not n_distinct:
        return False
    highest = np.maximum.accumulate(codes)
    return int(highest[-1]) == n_distinct - 1 and int(np.diff(highest).max(initial=0)) <= 1


def _names(column: pa.Array) -> _Names:
    """Return a column of texts or whole numbers as names."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        if pa.types.is_null(column.type):
            column = column.cast(pa.string())
        column = column.dictionary_encode()
    codes = column.indices.cast(pa.int32()).fill_null(-1).to_numpy()
    values = column.dictionary
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        codes = np.where(np.append(missing, True)[codes], -1, codes).astype(np.int32)
        values = values.fill_null(0 if pa.types.is_integer(values.type) else "")
    invalid = np.zeros(len(values), np.bool_)
    if pa.types.is_integer(values.type):
        distinct = values.cast(pa.string())
    else:
        distinct, invalid = _valid(values)
    again = distinct.dictionary_encode()
    if len(again.dictionary) < len(distinct) and not invalid.any():
        codes = np.append(again.indices.to_numpy(), np.int32(-1))[codes]
        distinct, invalid = again.dictionary, np.zeros(len(again.dictionary), np.bool_)
    return _Names(codes, distinct, invalid)


def _valid(values: pa.Array) -> tuple[pa.StringArray, npt.NDArray[np.bool_]]:
    """Return names as strings, and which are not UTF-8; those become empty."""
    import numpy as np
    import pyarrow as pa

    raw = values.cast(pa.binary())
    try:
        return raw.cast(pa.string()), np.zeros(len(values), np.bool_)
    except pa.ArrowInvalid:
        texts = [_decoded(name) for name in raw.to_pylist()]
        return pa.array([text or "" for text in texts], pa.string()), np.array(
            [text is None for text in texts]
        )


def _decoded(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _plays(column: pa.Array, values: str) -> Parsed:
    """Return plays with what is wrong about each (see `values.parse_plays`)."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        # Decimals are cast as written, binary as text.
        texts = column.cast(pa.string())
        return parse_plays(texts.fill_null(""), values)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    if values == FLOAT:
        with np.errstate(over="ignore", under="ignore"):
            real = numbers.astype(np.float32)
        return real, present & ~np.isnan(numbers), np.isfinite(real) & (real > 0)
    is_number = present
    if numbers.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            is_number = present & np.isfinite(numbers) & (np.floor(numbers) == numbers)
    in_range = is_number & (numbers >= 1) & (numbers <= MAX_PLAYS)
    if in_range.all():
        return numbers.astype(np.int32, copy=False), is_number, in_range
    return np.where(in_range, numbers, 0).astype(np.int32), is_number, in_range


def _times(column: pa.Array) -> Times:
    """Return times in milliseconds since 1970 (UTC), and which are times."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        numbers = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy()
        return milliseconds(numbers), present
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = pc.cast(column, pa.timestamp("ms"), safe=False)
        return column.cast(pa.int64()).fill_null(0).to_numpy(), present
    return parse_times(column.cast(pa.string()).fill_null(""))


def _read_batch(batch: Batch, schema: Schema, partitions: dict[str, str | None]) -> Rows:
    """Return a batch's rows, and the reasons of the rejected ones."""
    import pyarrow as pa

    n_rows = len(batch.columns)
    columns = {
        role: _constant(partitions[name], n_rows) if name in partitions else batch.columns.column(name)
        for role, name in zip(schema.columns, schema.fields, strict=True)
    }
    names = {role: _names(columns[role]) for role in (USER, ARTIST, *([MBID] * schema.with_mbid))}
    reasons = _name_reasons(names, n_rows)
    plays, times = reasons.numbers(columns, schema, _plays, _times)
    rejected = reasons.rejected()
    kept = None if not len(rejected) else reasons.of < 0
    return Rows(
        user=names[USER].kept(kept),
        artist=names[ARTIST].kept(kept),
        plays=plays if kept is None else plays[kept],
        mbid=_filled(names[MBID]).kept(kept) if schema.with_mbid else None,
        time=times if kept is None or times is None else times[kept],
        n_lines=n_rows,
        reject_lines=rejected,
        reject_reasons=reasons.of[rejected],
        reject_bytes=pa.array(_shown(batch, columns, rejected, schema.kind), pa.binary()),
    )


def _name_reasons(names: dict[str, _Names], n_rows: int) -> Reasons:
    """Return the rejects for names that are too long, not UTF-8, missing or empty."""
    import pyarrow.compute as pc

    reasons = Reasons(n_rows)
    lengths = {role: pc.binary_length(found.distinct).to_numpy() for role, found in names.items()}
    for role, found in names.items():
        reasons.reject(found.flagged(lengths[role] > MAX_LINE_BYTES), "line_too_long")
    for found in names.values():
        reasons.reject(found.flagged(found.invalid), "invalid_utf8")
    for role in (USER, ARTIST):
        found = names[role]
        reasons.reject((found.codes < 0) | found.flagged(lengths[role] == 0), f"empty_{role}")
    return reasons


def _constant(value: str | None, n_rows: int) -> pa.DictionaryArray:
    import numpy as np
    import pyarrow as pa

    codes = pa.array(np.zeros(n_rows, np.int32), mask=np.full(n_rows, value is None))
    return pa.DictionaryArray.from_arrays(codes, pa.array([value or ""], pa.string()))


def _filled(names: _Names) -> _Names:
    """Return names with an empty one in place of what is missing."""
    import numpy as np
    import pyarrow as pa

    if not (names.codes < 0).any():
        return names
    distinct = pa.concat_arrays([names.distinct, pa.array([""], pa.string())]).dictionary_encode()
    codes = distinct.indices.to_numpy()[names.codes]
    return _Names(codes, distinct.dictionary, np.zeros(len(distinct.dictionary), np.bool_))


def _shown(batch: Batch, columns: dict[str, pa.Array], rows: npt.NDArray[np.intp], kind: str) -> list[bytes]:
    """Return the bytes kept of rejected rows: their place in the file, and their values."""
    import pyarrow as pa

    if not len(rows):
        return []
    values = {
        role: [_json(value) for value in _plain(column.take(pa.array(rows)))]
        for role, column in columns.items()
    }
    group = "row group" if kind == PARQUET else "record batch"
    return [
        f"{group} {batch.group}, row {batch.first + row}: "
        f"{json.dumps({role: values[role][i] for role in values}, ensure_ascii=False)}".encode(
            "utf-8", "backslashreplace"
        )[:MAX_REJECT_BYTES]
        for i, row in enumerate(rows.tolist())
    ]


def _plain(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if is_text or pa.types.is_string_view(column.type):
        column = column.cast(pa.binary())
    values: list[Any] = column.to_pylist()
    return values


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, int | float | str) else str(value)

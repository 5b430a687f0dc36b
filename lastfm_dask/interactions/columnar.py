"""Columnar sources: recognized by their first bytes, and their columns assigned to roles.

Roles follow from the caller's names or from the columns' own names. A role that is not clear is never guessed: the
error lists the columns and the option to copy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import SchemaOptions, role_of
from lastfm_dask.interactions.row_groups import layout_of
from lastfm_dask.interactions.schema import ARTIST, IGNORED, MBID, PLAYS, ROLES, TIME, UTF8, WHOLE, Schema
from lastfm_dask.sources.files import open_ranges
from lastfm_dask.sources.kinds import HEAD_BYTES, refuse_binary
from lastfm_dask.sources.source_file import ARROW, COLUMNAR_ENDINGS, PARQUET

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from lastfm_dask.sources.source_file import SourceFile

_MAGIC = {b"PAR1": PARQUET, b"ARRO": ARROW}
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def kind_of(files: Sequence[SourceFile]) -> str | None:
    """Return `parquet` or `arrow` for a columnar source, None for text.

    Raises
    ------
    BadInputError
        If the files are of different kinds, or of a columnar kind that is not read.
    """
    first: tuple[str, str | None] | None = None
    for file in files:
        # Only the first file is checked here: opening every file of a long list would take long.
        by_name = next(
            (kind for end, kind in COLUMNAR_ENDINGS.items() if file.path.lower().endswith(end)), None
        )
        kind = _kind_by_bytes(file, by_name) if first is None and file.size_bytes else by_name
        if file.size_bytes and first is None:
            first = (file.path, kind)
        elif first is not None and by_name is not None and by_name != first[1]:
            msg = f"{file.path} is {by_name}, and {first[0]} is {first[1] or 'text'}: ingest them one by one"
            raise BadInputError(msg, path=file.path)
    return first[1] if first else None


def _kind_by_bytes(file: SourceFile, by_name: str | None) -> str | None:
    if file.compression:
        return None
    with open_ranges(file.path) as read:
        head = bytes(read(0, HEAD_BYTES))
    magic = head[:4]
    kind = _MAGIC.get(magic)
    if kind is None:
        refuse_binary(file, head)
    if kind is None and by_name is not None:
        msg = (
            f"{file.path} is not {'Parquet' if by_name == PARQUET else 'an Arrow file'}, though its name says so: it"
            f" begins with {magic!r}; fetch or write it again, or rename it where it is text"
        )
        raise BadInputError(msg, path=file.path)
    return kind


def partition_values(path: str) -> dict[str, str | None]:
    """Return the Hive partition values in the folders of a path, by column.

    >>> partition_values("log/user=anna/year=2020/part-0.parquet")
    {'user': 'anna', 'year': '2020'}
    """
    pairs = (part.partition("=") for part in path.split("/")[:-1])
    return {
        unquote(key): None if value == _NULL_PARTITION else unquote(value)
        for key, equals, value in pairs
        if key and equals
    }


def resolve_columnar(files: Sequence[SourceFile], options: SchemaOptions, kind: str) -> Schema:
    """Return the schema of a columnar source's files.

    Raises
    ------
    BadInputError
        If a column is missing, ambiguous, or of a type that does not fit its role.
    """
    schema: Schema | None = None
    for file in files:
        if not file.size_bytes:
            continue
        found = layout_of(file, kind).schema
        try:
            schema = resolve_names(found, options, kind, partition_values(file.path), schema)
        except BadInputError as error:
            msg = f"{file.path}: {error}"
            raise BadInputError(msg, path=file.path) from error
    assert schema is not None, "a source has bytes"
    if not any(layout_of(file, kind).n_rows for file in files if file.size_bytes):
        msg = f"{', '.join(file.path for file in files)}: no row: a source with at least one is wanted"
        raise BadInputError(msg, path=files[0].path)
    return schema


def resolve_names(
    found: pa.Schema,
    options: SchemaOptions,
    kind: str,
    partitions: dict[str, str | None],
    known: Schema | None = None,
) -> Schema:
    """Return the schema of one file or frame with these columns; `known` is that of the files before it."""
    _refuse_text_options(options)
    names = [*found.names, *(name for name in partitions if name not in found.names)]
    if known is None:
        roles, shape = _roles(names, options)
        wanted = [role for role in roles if role != MBID or options.with_mbid]
        events = PLAYS not in wanted and (options.events or shape.events)
        known = replace(
            shape,
            columns=tuple(wanted),
            fields=tuple(roles[role] for role in wanted),
            kind=kind,
            keep_case=options.keep_case,
            with_mbid=options.with_mbid,
            values=options.values or shape.values,
            events=events,
            delimiter="\t",
            header=False,
        )
    for role, name in zip(known.columns, known.fields, strict=True):
        if names.count(name) != 1:
            raise BadInputError(_no_column(role, name, names))
        if name in found.names:
            _check_type(role, name, found.field(name).type)
    return known


def _refuse_text_options(options: SchemaOptions) -> None:
    given = [
        option
        for option, value in (
            ("--delimiter", options.delimiter),
            ("--header", options.header),
            ("--quote", options.quote),
            ("--encoding", None if options.encoding in (None, UTF8) else options.encoding),
        )
        if value
    ]
    if given:
        msg = f"{', '.join(given)}: only for text; this source has columns with names and types: leave it out"
        raise BadInputError(msg)


def _roles(names: Sequence[str], options: SchemaOptions) -> tuple[dict[str, str], Schema]:
    """Return the column of each role, and the schema to start from."""
    start = Schema(("user", "artist", "plays"), values=WHOLE)
    if options.format is not None:
        shape = options.shapes[0]
        if not shape.fields:
            start = replace(shape, values=WHOLE if shape.values == "digits" else shape.values)
        else:
            roles = {}
            for role, field in zip(shape.columns, shape.fields, strict=True):
                choices = [part.rsplit(".", 1)[-1] for part in field.split("|")]
                roles[role] = next((name for name in choices if name in names), choices[0])
            if options.columns is None:
                return roles, shape
            start = shape
    if options.columns is None:
        return _guessed(names, options), start
    if options.by_name:
        return _named(options.columns), start
    return _by_place(names, options.columns), start


def _named(columns: Sequence[str]) -> dict[str, str]:
    pairs = [column.partition("=")[::2] for column in columns]
    roles = dict(pairs)
    if len(roles) != len(pairs) or not all(name and role in ROLES[:-1] for role, name in pairs):
        msg = (
            f"columns are {','.join(columns)}: write role=name once for each role that is read, such as"
            f" user=uid,artist=item_id,plays=n; roles are {', '.join(ROLES[:-1])}"
        )
        raise BadInputError(msg)
    return roles


def _by_place(names: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    roles = {role: name for name, role in zip(names, columns, strict=False) if role != IGNORED}
    wrong = [name for role, name in roles.items() if role_of(name) not in (None, role)]
    if len(names) != len(columns) or wrong:
        msg = (
            f"columns are {','.join(columns)}, and the source's are {', '.join(names)}: name them, as in"
            f" {_suggestion(names)}"
        )
        raise BadInputError(msg)
    return roles


def _guessed(names: Sequence[str], options: SchemaOptions) -> dict[str, str]:
    """Return the roles by the columns' own names; raises BadInputError if they are not clear."""
    found: dict[str, str] = {}
    wanted = ["user", ARTIST, *([] if options.events else [PLAYS])]
    wanted += [MBID] * options.with_mbid + [TIME] * options.events
    for role in wanted:
        candidates = [role] if role in names else [name for name in names if role_of(name) == role]
        if len(candidates) > 1:
            msg = (
                f"{' and '.join(candidates)} may each be the {role}: say which, as in {_suggestion(names)}"
                f" (its columns are {', '.join(names)})"
            )
            raise BadInputError(msg)
        if candidates:
            found[role] = candidates[0]
        elif role != TIME:
            raise BadInputError(_no_column(role, None, names))
    return found


def _no_column(role: str, name: str | None, names: Sequence[str]) -> str:
    what = (
        f"no column is plainly the {role}" if name is None else f"there is no single column {name!r} ({role})"
    )
    events = ", or --events where each row is one listen" if role == PLAYS else ""
    return f"{what}; its columns are {', '.join(names)}: name them, as in {_suggestion(names)}{events}"


def _suggestion(names: Sequence[str]) -> str:
    words = {"user": "USER", ARTIST: "ARTIST", PLAYS: "PLAYS"}
    for role in words:
        words[role] = next((name for name in names if role_of(name) == role), words[role])
    return f"--columns {','.join(f'{role}={name}' for role, name in words.items())}"


def _check_type(role: str, name: str, kind: Any) -> None:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    text = (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_null(kind)
    )
    if role == PLAYS:
        fits, allowed = (
            text or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind),
            "numbers",
        )
    elif role == TIME:
        fits, allowed = (
            text or types.is_integer(kind) or types.is_timestamp(kind) or types.is_date(kind),
            "times",
        )
    else:
        fits, allowed = text or types.is_integer(kind), "texts or whole numbers"
    if not fits:
        nested = "; it is nested: extract the field that you want first" if types.is_nested(kind) else ""
        msg = f"the column {name!r} ({role}) holds {kind}, and {allowed} are wanted: convert it, or name another{nested}"
        raise BadInputError(msg)

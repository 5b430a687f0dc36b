"""A file looked at before anything is known of it: what it seems to be, ten rows, and the ingest line that reads it."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.columnar import kind_of
from lastfm_dask.interactions.formats import SchemaOptions, role_of
from lastfm_dask.interactions.headers import decode_head, first_record, read_head, records_of, resolve
from lastfm_dask.interactions.names import lower
from lastfm_dask.interactions.reading import read_rows, whole_lines
from lastfm_dask.interactions.schema import (
    ARTIST,
    FLOAT,
    IGNORED,
    MBID,
    PLAYS,
    REASONS,
    TIME,
    USER,
    UTF8,
    Schema,
)
from lastfm_dask.interactions.sniffing import (
    guess_delimiter,
    guess_encoding,
    guess_layout,
    without_quoted,
)
from lastfm_dask.sources.kinds import refuse_binary, text_kind

if TYPE_CHECKING:
    from lastfm_dask.sources.source_file import SourceFile

N_ROWS = 10
_N_LINES = 200
_REAL = ("halffloat", "float", "double")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file seems to be.

    Attributes
    ----------
    path : str
        The file.
    format : str
        A format known by name, or `delimited`, `json-lines`, `parquet`.
    encoding : str
        Of its text; empty for Parquet.
    delimiter, quote : str or None
        Of delimited text; no quote where fields are not quoted.
    header : bool
        Whether the first record names the columns.
    columns : tuple of (str, str)
        Name and role of each; without a header their numbers, from 1.
    options : str
        The options that `ingest` needs for it.
    rows : tuple of dict
        The first rows as they would be read.
    rejects : dict
        Rows at the file's start that would be rejected, by reason.
    """

    path: str
    format: str
    encoding: str
    delimiter: str | None
    quote: str | None
    header: bool
    columns: tuple[tuple[str, str], ...]
    options: str
    rows: tuple[dict[str, Any], ...] = ()
    rejects: dict[str, int] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The ingest line, to copy."""
        name = PurePosixPath(self.path).name.split(".")[0] or "log"
        return f"lastfm-dask ingest {shlex.quote(self.path)} -o {shlex.quote(name)}.dataset {self.options}".strip()


def inspect(file: SourceFile) -> Inspection:
    """Return what a file seems to be.

    Raises
    ------
    BadInputError
        If it can't be read, or nothing in it looks like a user and an artist.
    """
    if kind := kind_of([file]):
        return _columnar(file, kind)
    head = read_head(file)
    refuse_binary(file, head)
    if kind := text_kind(head):
        msg = f"{file.path} is {kind}"
        raise BadInputError(msg, path=file.path)
    encoding = guess_encoding(head)
    text = decode_head(whole_lines(head, Schema((USER, ARTIST, PLAYS), encoding=encoding)), encoding)
    lines = [line.removesuffix("\r") for line in text.split("\n")[:_N_LINES] if line.strip("\r")]
    if not lines:
        msg = f"{file.path} holds no line of text: name a log"
        raise BadInputError(msg, path=file.path)
    if lines[0].lstrip().startswith("{"):
        return _json_lines(file, head, encoding, lines)
    return _delimited(file, head, encoding, text, lines)


def _delimited(file: SourceFile, head: bytes, encoding: str, text: str, lines: list[str]) -> Inspection:
    for name in _candidates(lines):
        options = SchemaOptions(format=name, encoding=None if encoding == UTF8 else encoding)
        found = _tried(file, head, options)
        if found is not None and not found[1]:
            return _described(file, options, text, *found)
    bare, quote = without_quoted(text)
    delimiter = guess_delimiter([line for line in bare.splitlines()[:_N_LINES] if line])
    if delimiter is None:
        msg = (
            f"{file.path}: no delimiter cuts its lines into equally many fields; the first is {lines[0][:200]!r}:"
            " say how it is read with --columns and --delimiter"
        )
        raise BadInputError(msg, path=file.path)
    schema = Schema((USER, ARTIST, PLAYS), delimiter=delimiter, quote=quote)
    records = list(islice(records_of(text, schema), _N_LINES))
    n_fields = Counter(map(len, records)).most_common(1)[0][0]
    layout = guess_layout([record for record in records if len(record) == n_fields])
    roles = layout.roles
    if USER not in roles or ARTIST not in roles:
        msg = (
            f"{file.path}: no column of {', '.join(map(repr, records[0]))} looks like an artist beside a user"
        )
        raise BadInputError(msg, path=file.path)
    columns = roles
    if layout.header is not None and _can_be_named(layout.header, roles):
        columns = tuple(
            f"{role}={name}" for name, role in zip(layout.header, roles, strict=True) if role != IGNORED
        )
    options = SchemaOptions(
        columns=columns,
        delimiter=None if delimiter == "\t" else delimiter,
        header=True if layout.header is not None else None,
        quote=quote or None,
        encoding=None if encoding == UTF8 else encoding,
        values=FLOAT if layout.is_real else None,
        events=PLAYS not in roles,
    )
    found = _tried(file, head, options)
    if found is None:
        msg = (
            f"{file.path}: its first line is {lines[0][:200]!r}, and none of its first lines can be read by"
            f" {', '.join(columns)}: remove what stands before the header or the rows, or say how it is read with"
            " --columns and --delimiter"
        )
        raise BadInputError(msg, path=file.path)
    return _described(file, options, text, *found)


def _can_be_named(header: tuple[str, ...], roles: tuple[str, ...]) -> bool:
    """Whether an option can name these columns."""
    named = [name for name, role in zip(header, roles, strict=True) if role != IGNORED]
    return all(name and header.count(name) == 1 and not set(name) & set(",=\n") for name in named)


def _candidates(lines: list[str]) -> list[str]:
    """Return the formats known by name whose columns and values the lines seem to have."""
    first, last = lines[0], lines[-1]
    words = first.replace("::", "\t").replace(",", "\t").split("\t")
    roles = [role_of(word) for word in words]
    found = []
    if len(words) == 4 and len(words[0]) == 40:
        found.append("lastfm-360k")
    if len(words) == 6:
        found.append("lastfm-1k")
    if words == ["userID", "artistID", "weight"]:
        found.append("hetrec-2k")
    if words == ["user_id", "track_id", "album_id", "timestamp"]:
        found.append("lfm-2b")
    if words == ["userId", "movieId", "rating", "timestamp"] or ("::" in first and len(words) == 4):
        found.append("movielens")
    if len(words) == 4 and all(word.isdigit() for word in words) and int(words[2]) <= 5:
        found.append("movielens")
    if len(words) == 5 and all(word.isdigit() for word in words) and len(words[4]) >= 9:
        found.append("lfm-1b")
    if len(words) == 3 and len(words[0]) == 40 and words[1].startswith("SO") and not any(roles):
        found.append("msd")
    if len(first.split(" ")) == len(last.split(" ")) == 3 and all(
        word.isdigit() for word in first.split(" ")
    ):
        found.append("audioscrobbler")
    return found


def _tried(file: SourceFile, head: bytes, options: SchemaOptions) -> tuple[Schema, bool, list[Any]] | None:
    """Return the schema, whether most rows are rejected, and the head's rows; None if it makes no schema."""
    try:
        schema = resolve([file], options)
    except BadInputError:
        return None
    rows = read_rows(whole_lines(head, schema), schema, file_start=True)
    n_rows, n_rejects = len(rows.plays), len(rows.reject_lines)
    return schema, n_rejects > n_rows // 10, [rows]


def _described(
    file: SourceFile, options: SchemaOptions, text: str, schema: Schema, _: bool, found: list[Any]
) -> Inspection:
    rows = found[0]
    header = first_record(text, schema) if schema.header else []
    names = header if len(header) == len(schema.columns) else [str(i + 1) for i in range(len(schema.columns))]
    kind = options.format or ("delimited" if not schema.fields else schema.kind)
    columns = zip(schema.fields or names, schema.columns, strict=True)
    return Inspection(
        path=file.path,
        format=kind,
        encoding=schema.encoding,
        delimiter=None if schema.fields else schema.delimiter,
        quote=schema.quote or None,
        header=schema.header,
        columns=tuple(columns),
        options=options_text(options),
        rows=_first_rows(rows, schema),
        rejects={name: n for i, name in enumerate(REASONS) if (n := int((rows.reject_reasons == i).sum()))},
    )


def _first_rows(rows: Any, schema: Schema) -> tuple[dict[str, Any], ...]:
    artists = [lower(name) for name in rows.artist[:N_ROWS].to_pylist()]
    shown: dict[str, Any] = {USER: rows.user[:N_ROWS].to_pylist(), ARTIST: artists}
    shown[PLAYS] = rows.plays[:N_ROWS].tolist()
    if schema.with_time:
        shown[TIME] = rows.time[:N_ROWS].tolist()
    return tuple(dict(zip(shown, row, strict=True)) for row in zip(*shown.values(), strict=True))


def options_text(options: SchemaOptions) -> str:
    """Return options as a shell takes them."""
    words: list[str] = []
    for name, value in (
        ("--format", options.format),
        ("--columns", ",".join(options.columns) if options.columns else None),
        ("--delimiter", options.delimiter),
        ("--quote", options.quote),
        ("--encoding", options.encoding),
        ("--values", options.values),
    ):
        if value is not None:
            words += [name, shlex.quote(value)]
    words += ["--header"] * bool(options.header) + ["--events"] * options.events
    return " ".join(words)


def _json_lines(file: SourceFile, head: bytes, encoding: str, lines: list[str]) -> Inspection:
    try:
        first = json.loads(lines[0])
    except ValueError as error:
        msg = f"{file.path}, line 1: starts like JSON, but is not an object on one line ({error}): write one object a line"
        raise BadInputError(msg, path=file.path, line=1) from error
    options = SchemaOptions(format="listenbrainz")
    if "track_metadata" not in first:
        found_roles: dict[str, str] = {}
        for path in _leaves(first):
            role = role_of(path.rsplit(".", 1)[-1])
            if role not in (None, MBID) and role not in found_roles:
                found_roles[str(role)] = path
        order = (role for role in (USER, ARTIST, PLAYS, TIME) if role in found_roles)
        columns = tuple(f"{role}={found_roles[role]}" for role in order)
        options = SchemaOptions(format="json-lines", columns=columns, events=PLAYS not in found_roles)
    options = replace(options, encoding=None if encoding == UTF8 else encoding)
    found = _tried(file, head, options)
    if found is None:
        msg = (
            f"{file.path}: no keys of {', '.join(map(repr, _leaves(first)))} look like a user and an artist: name them with"
            " --format json-lines --columns user=KEY,artist=KEY,plays=KEY"
        )
        raise BadInputError(msg, path=file.path)
    return _described(file, options, "", *found)


def _leaves(row: Any, above: str = "") -> list[str]:
    """Return the paths of an object's values that are not objects or lists."""
    found = []
    for key, value in row.items() if isinstance(row, dict) else ():
        path = f"{above}{key}"
        if isinstance(value, dict):
            found += _leaves(value, f"{path}.")
        elif not isinstance(value, list):
            found.append(path)
    return found


def _columnar(file: SourceFile, kind: str) -> Inspection:
    """Return what a columnar file's own schema says."""
    from lastfm_dask.interactions.columnar_reader import read_columns
    from lastfm_dask.interactions.row_groups import layout_of

    layout = layout_of(file, kind)
    roles: dict[str, str] = {}
    for name in layout.schema.names:
        role = role_of(name)
        if role not in (None, MBID, *roles.values()):
            roles[name] = str(role)
    if not {USER, ARTIST} <= set(roles.values()):
        msg = (
            f"{file.path}: no column of {', '.join(map(repr, layout.schema.names))} looks like a user and an artist:"
            " name them with --columns user=NAME,artist=NAME,plays=NAME"
        )
        raise BadInputError(msg, path=file.path)
    is_real = any(
        str(layout.schema.field(name).type) in _REAL for name, role in roles.items() if role == PLAYS
    )
    options = SchemaOptions(
        columns=tuple(f"{role}={name}" for name, role in roles.items()),
        values=FLOAT if is_real else None,
        events=PLAYS not in roles.values(),
    )
    schema = resolve([file], options)
    rows = read_columns(file.path, 0, min(N_ROWS, layout.n_rows), schema)
    return Inspection(
        path=file.path,
        format=kind,
        encoding="",
        delimiter=None,
        quote=None,
        header=True,
        columns=tuple((name, roles.get(name, IGNORED)) for name in layout.schema.names),
        options=options_text(options),
        rows=_first_rows(rows, schema),
    )

"""A first look at a source's files that completes its schema: byte order marks, headers, a format's columns.

Reads the first 64 KiB of each file. If they contradict the caller's options, the error names the fix; nothing is guessed.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import shlex
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import DEFAULT_FORMAT, role_of, suggestion
from lastfm_dask.interactions.schema import (
    ARTIST,
    DELIMITED,
    IGNORED,
    PLAYS,
    USER,
    Schema,
)
from lastfm_dask.sources.files import open_ranges, open_stream
from lastfm_dask.sources.kinds import refuse_binary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lastfm_dask.interactions.formats import SchemaOptions
    from lastfm_dask.sources.source_file import SourceFile

HEAD_BYTES = 64 << 10
_RECORDS = 20
_MBID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 comes before UTF-16, because its mark begins with that of UTF-16."""


def read_head(file: SourceFile) -> bytes:
    """Return a file's first bytes, unpacked."""
    if not file.compression:
        with open_ranges(file.path) as read:
            return bytes(read(0, HEAD_BYTES))
    with open_stream(file) as stream:
        head = b""
        while len(head) < HEAD_BYTES and (piece := stream.read(HEAD_BYTES - len(head))):
            head += piece
    return head


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding that a byte order mark names; None without one."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def decode_head(head: bytes, encoding: str) -> str:
    """Return a file's first characters, without a byte order mark; what cannot be decoded is replaced."""
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    return text.removeprefix("\ufeff")


def first_record(text: str, schema: Schema) -> list[str]:
    """Return the fields of the first record; none where there is no text."""
    return next(records_of(text, schema), [])


def records_of(text: str, schema: Schema) -> Iterator[list[str]]:
    """Return the fields of each record, without empty lines."""
    if schema.quote:
        # Python's csv takes one character, so one that no field contains replaces a longer delimiter.
        delimiter = schema.delimiter if len(schema.delimiter) == 1 else "\x1f"
        replaced = (line.replace(schema.delimiter, delimiter) for line in io.StringIO(text, newline=""))
        yield from filter(None, csv.reader(replaced, delimiter=delimiter, quotechar=schema.quote))
        return
    for line in text.split("\n"):
        if line := line.removesuffix("\r"):
            yield line.split(schema.delimiter)


def resolve(files: Sequence[SourceFile], options: SchemaOptions) -> Schema:
    """Return the schema of a source's files.

    Raises
    ------
    BadInputError
        If the options are invalid, the files differ in encoding or header, or a header contradicts the columns.
    """
    from lastfm_dask.interactions.columnar import kind_of, resolve_columnar

    shapes = options.shapes
    if kind := kind_of(files):
        return resolve_columnar(files, options, kind)
    if shapes[0].is_columnar:
        msg = f"{files[0].path} is text, and {options.name} is published as {shapes[0].kind}: name its files"
        raise BadInputError(msg, path=files[0].path)
    if not options.by_name:
        # Errors in the options are reported before errors in a file.
        for shape in shapes:
            options.schema(shape)
    schema: Schema | None = None
    for file in files:
        if not file.size_bytes:
            continue
        head = read_head(file)
        found = _schema_of(file, head, shapes, options)
        if schema is not None and found != schema:
            msg = f"{file.path}: {_difference(schema, found)}, unlike {files[0].path}: ingest them one by one"
            raise BadInputError(msg, path=file.path)
        schema = found
    return schema or options.schema()


def _schema_of(file: SourceFile, head: bytes, shapes: Sequence[Schema], options: SchemaOptions) -> Schema:
    refuse_binary(file, head)
    encoding = marked_encoding(head)
    options = options if encoding is None else replace(options, encoding=encoding)
    text = decode_head(head, options.encoding or shapes[0].encoding)
    shape = shapes[0]
    if len(shapes) > 1:
        fitting = [one for one in shapes if len(first_record(text, one)) == len(one.columns)]
        shape = fitting[0] if fitting else shape
    if shape.kind != DELIMITED:
        return options.schema(shape)
    if options.format is None and options.columns is None:
        _refuse_other_columns(file, text, options.schema(shape))
    wants_header = options.by_name or (shape.header if options.header is None else options.header)
    if not wants_header:
        return options.schema(shape)
    delimiter, quote = options.delimiter or shape.delimiter, options.quote or shape.quote
    header = first_record(text, replace(shape, delimiter=delimiter, quote=quote))
    try:
        if options.columns is None and options.format is None and {USER, ARTIST} <= set(header):
            names = tuple(f"{word}={word}" for word in header if role_of(word) == word)
            return replace(options, columns=names).schema(shape, header)
        schema = options.schema(shape, header)
        if not options.by_name:
            _refuse_contradiction(header, schema.columns)
    except BadInputError as error:
        msg = f"{file.path}, line 1: {error}"
        raise BadInputError(msg, path=file.path, line=1) from error
    return schema


def _refuse_other_columns(file: SourceFile, text: str, schema: Schema) -> None:
    """Raise BadInputError if no format was given and lines clearly do not have the default format's columns."""
    records = [
        record for record in islice(records_of(text, schema), _RECORDS) if len(record) == len(schema.columns)
    ]
    mbids = [mbid for _, mbid, *_ in records if mbid]
    if (
        mbids
        and not any(map(_MBID.fullmatch, mbids))
        and all(artist.isdigit() for _, _, artist, _ in records)
    ):
        msg = (
            f"{file.path}, line 1: is {DEFAULT_FORMAT} (user, MBID, artist, plays) unless you say otherwise, but its second"
            f" field {mbids[0]!r} is not an MBID, and its third {records[0][2]!r} is a number: `lastfm-dask inspect"
            f" {shlex.quote(file.path)}` proposes how to read it; --format {DEFAULT_FORMAT} reads it so all the same"
        )
        raise BadInputError(msg, path=file.path, line=1)


def _refuse_contradiction(header: Sequence[str], columns: Sequence[str]) -> None:
    """Raise BadInputError if a header says that a column has another role than by its position."""
    roles = [role_of(name) for name in header]
    shown = ", ".join(map(repr, header))
    if len(header) != len(columns) and (PLAYS in roles or {USER, ARTIST} <= set(roles)):
        msg = (
            f"the header has {len(header)} columns ({shown}) and --columns {len(columns)} ({','.join(columns)}):"
            f" name them, as in {suggestion(header)}"
        )
        raise BadInputError(msg)
    for name, role, column in zip(header, roles, columns, strict=False):
        if role not in (None, column) and column != IGNORED and role in columns:
            msg = (
                f"the header is {shown}, but by position {name!r} is read as {column} ({','.join(columns)}):"
                f" name the columns, as in {suggestion(header)}"
            )
            raise BadInputError(msg)


def _difference(schema: Schema, other: Schema) -> str:
    if schema.encoding != other.encoding:
        return f"its byte order mark says {other.encoding}"
    return f"its columns are {','.join(other.columns)}, with {other.delimiter!r} between them"

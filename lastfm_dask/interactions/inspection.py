"""A look at an unknown source: what it seems to be, its first ten rows, and the ingest line that reads it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.columnar import kind_of, partition_values
from lastfm_dask.interactions.formats import SchemaOptions, role_of
from lastfm_dask.interactions.headers import decode_head, read_head, records_of, resolve
from lastfm_dask.interactions.proposal import (
    N_ROWS,
    Inspection,
    Look,
    described,
    first_rows,
    options_text,
    tried,
)
from lastfm_dask.interactions.reading import whole_lines
from lastfm_dask.interactions.schema import (
    ARTIST,
    FLOAT,
    IGNORED,
    MBID,
    PLAYS,
    TIME,
    USER,
    UTF8,
    Schema,
    codec_name,
)
from lastfm_dask.interactions.sniffing import (
    guess_delimiter,
    guess_encoding,
    guess_layout,
    readings,
    without_quoted,
)
from lastfm_dask.sources.kinds import refuse_binary, text_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.interactions.sniffing import Layout
    from lastfm_dask.sources.source_file import SourceFile

_N_LINES = 200
_REAL = ("halffloat", "float", "double")
_EXPORTED = re.compile(r"\d\d? [A-Z][a-z]{2} \d{4},? \d\d:\d\d")
"""A time as in one user's export from Last.fm: day, month, year, time."""
_TRACKS = {"track", "trackname", "album", "albumname", "song", "title"}


def inspect(files: Sequence[SourceFile], given: str = "", encoding: str | None = None) -> Inspection:
    """Return what a source seems to be.

    Parameters
    ----------
    files : sequence of SourceFile
        Its files; the first that is not empty is inspected, and the others must have the same columns.
    given : str, optional
        The name to use in the ingest line, such as a glob or a folder; the first file's path unless given.
    encoding : str, optional
        Of its text; guessed unless given.

    Raises
    ------
    BadInputError
        If it can't be read, has no columns that look like a user and an artist, or might be read in several ways.
    """
    look = Look(files, given or files[0].path)
    if kind := kind_of(files):
        if encoding:
            msg = f"--encoding {encoding}: only for text; {look.file.path} is {kind}: leave it out"
            raise BadInputError(msg, path=look.file.path)
        return _columnar(look, kind)
    file = look.file
    look = replace(look, head=read_head(file))
    refuse_binary(file, look.head)
    if text := text_kind(look.head):
        msg = f"{file.path} is {text}"
        raise BadInputError(msg, path=file.path)
    encoding = codec_name(encoding) if encoding else guess_encoding(look.head)
    if encoding is None:
        msg = (
            f"{file.path}: its bytes are not UTF-8, and may be of several encodings: name one with --encoding."
            f" The first name that is not ASCII reads as {readings(look.head)}"
        )
        raise BadInputError(msg, path=file.path)
    text = decode_head(whole_lines(look.head, Schema((USER, ARTIST, PLAYS), encoding=encoding)), encoding)
    lines = [line.removesuffix("\r") for line in text.split("\n")[:_N_LINES] if line.strip("\r")]
    if not lines:
        msg = f"{file.path} holds no line of text: name a log"
        raise BadInputError(msg, path=file.path)
    if lines[0].lstrip().startswith("{"):
        return _json_lines(look, encoding, lines)
    return _delimited(look, encoding, text, lines)


def _delimited(look: Look, encoding: str, text: str, lines: list[str]) -> Inspection:
    path = look.file.path
    for name in _candidates(lines):
        trial = tried(look, SchemaOptions(format=name, encoding=None if encoding == UTF8 else encoding))
        if trial is not None and trial.fits:
            return described(look, text, trial)
    bare, quote = without_quoted(text)
    delimiter = guess_delimiter([line for line in bare.splitlines()[:_N_LINES] if line])
    if delimiter is None:
        msg = (
            f"{path}: no delimiter cuts its lines into equally many fields; the first is {lines[0][:200]!r}:"
            " say how it is read with --columns and --delimiter"
        )
        raise BadInputError(msg, path=path)
    schema = Schema((USER, ARTIST, PLAYS), delimiter=delimiter, quote=quote)
    records = list(islice(records_of(text, schema), _N_LINES))
    n_fields = Counter(map(len, records)).most_common(1)[0][0]
    records = [record for record in records if len(record) == n_fields]
    layout = guess_layout(records)
    _refuse_without_users(path, layout, records)
    columns = layout.roles
    if layout.header is not None and _can_be_named(layout.header, layout.roles):
        columns = tuple(
            f"{role}={name}"
            for name, role in zip(layout.header, layout.roles, strict=True)
            if role != IGNORED
        )
    options = SchemaOptions(
        columns=columns,
        delimiter=None if delimiter == "\t" else delimiter,
        header=True if layout.header is not None else None,
        quote=quote or None,
        encoding=None if encoding == UTF8 else encoding,
        values=FLOAT if layout.is_real else None,
        events=PLAYS not in layout.roles,
    )
    trial = tried(look, options)
    if trial is None or (len(records) > 1 and not len(trial.rows.plays) + len(trial.rows.reject_lines)):
        msg = (
            f"{path}: its first line is {lines[0][:200]!r}, and none of its first lines can be read by"
            f" {', '.join(columns)}: remove what stands before the header or the rows, or say how it is read with"
            " --columns and --delimiter"
        )
        raise BadInputError(msg, path=path)
    return described(look, text, trial)


def _refuse_without_users(path: str, layout: Layout, records: Sequence[Sequence[str]]) -> None:
    """Raise BadInputError if there is an artist column and no user column, as in one user's own export."""
    if USER not in layout.roles or ARTIST not in layout.roles:
        msg = f"{path}: no column of {', '.join(map(repr, records[0]))} looks like an artist beside a user"
        raise BadInputError(msg, path=path)
    named = {role_of(name) for name in layout.header or ()}
    words = {"".join(filter(str.isalnum, name.lower())) for name in layout.header or ()}
    is_export = any(_EXPORTED.fullmatch(field) for record in records for field in record)
    if USER not in named and (is_export or (ARTIST in named and PLAYS not in named and words & _TRACKS)):
        msg = (
            f"{path}: no column of {', '.join(map(repr, records[0]))} is plainly the user: if it is one person's export,"
            " put a column with a name for them before the others, and name the files of several people together; else"
            " name the columns with --columns"
        )
        raise BadInputError(msg, path=path)


def _can_be_named(header: tuple[str, ...], roles: tuple[str, ...]) -> bool:
    """Whether `--columns` can name these columns."""
    named = [name for name, role in zip(header, roles, strict=True) if role != IGNORED]
    return all(name and header.count(name) == 1 and not set(name) & set(",=\n") for name in named)


def _candidates(lines: list[str]) -> list[str]:
    """Return the named formats whose columns and values the lines seem to have."""
    first, last = lines[0], lines[-1]
    words = first.replace("::", "\t").replace(",", "\t").split("\t")
    roles = [role_of(word) for word in words]
    found = []
    if len(words) == 4 and (len(words[0]) == 40 or first.split("\t")[1:2] == [""]):
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


def _json_lines(look: Look, encoding: str, lines: list[str]) -> Inspection:
    file = look.file
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
    trial = tried(look, options)
    if trial is None:
        msg = (
            f"{file.path}: no keys of {', '.join(map(repr, _leaves(first)))} look like a user and an artist: name them with"
            " --format json-lines --columns user=KEY,artist=KEY,plays=KEY"
        )
        raise BadInputError(msg, path=file.path)
    return described(look, "", trial)


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


def _columnar(look: Look, kind: str) -> Inspection:
    """Return what the file's own schema and the folders in its path say."""
    from lastfm_dask.interactions.columnar_reader import read_columns
    from lastfm_dask.interactions.row_groups import layout_of

    file = look.file
    layout = layout_of(file, kind)
    names = list(dict.fromkeys([*layout.schema.names, *partition_values(file.path)]))
    roles: dict[str, str] = {}
    for name in names:
        role = role_of(name)
        if role not in (None, MBID, *roles.values()):
            roles[name] = str(role)
    if not {USER, ARTIST} <= set(roles.values()):
        msg = (
            f"{file.path}: no column of {', '.join(map(repr, names))} looks like a user and an artist:"
            " name them with --columns user=NAME,artist=NAME,plays=NAME"
        )
        raise BadInputError(msg, path=file.path)
    is_real = any(
        str(layout.schema.field(name).type) in _REAL
        for name, role in roles.items()
        if role == PLAYS and name in layout.schema.names
    )
    options = SchemaOptions(
        columns=tuple(f"{role}={name}" for name, role in roles.items()),
        values=FLOAT if is_real else None,
        events=PLAYS not in roles.values(),
    )
    schema = resolve(look.files, options)
    rows = read_columns(file.path, 0, min(N_ROWS, layout.n_rows), schema)
    return Inspection(
        path=look.given,
        format=kind,
        encoding="",
        delimiter=None,
        quote=None,
        header=True,
        columns=tuple((name, roles.get(name, IGNORED)) for name in names),
        options=options_text(options),
        rows=first_rows(rows),
    )

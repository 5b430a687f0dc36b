"""The effect of options on a source's first bytes: the rows as they would be read, and the ingest line to copy."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.causes import likely_cause
from lastfm_dask.interactions.headers import first_record, resolve
from lastfm_dask.interactions.names import lower
from lastfm_dask.interactions.reading import read_rows, whole_lines
from lastfm_dask.interactions.schema import ARTIST, PLAYS, REASONS, TIME, USER, Schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.interactions.formats import SchemaOptions
    from lastfm_dask.interactions.rows import Rows
    from lastfm_dask.sources.source_file import SourceFile

N_ROWS = 10
_CAUSES = 20


@dataclass(frozen=True, slots=True)
class Inspection:
    """How a file seems to be written.

    Attributes
    ----------
    path : str
        The file, or the glob or folder, as it was given.
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
        name = re.sub(r"[*?\[\]]", "", PurePosixPath(self.path).name.split(".")[0]) or "log"
        return f"lastfm-dask ingest {shlex.quote(self.path)} -o {shlex.quote(name)}.dataset {self.options}".strip()


@dataclass(frozen=True, slots=True)
class Look:
    """A source to propose options for: its files, the name it was given by, and the first bytes of its first non-empty file."""

    files: Sequence[SourceFile]
    given: str
    head: bytes = b""

    @property
    def file(self) -> SourceFile:
        """The file that is inspected."""
        return next(file for file in self.files if file.size_bytes)


@dataclass(frozen=True, slots=True)
class Trial:
    """The effect of options on a source's first bytes."""

    options: SchemaOptions
    schema: Schema
    rows: Rows

    @property
    def fits(self) -> bool:
        """Whether nearly all rows are kept."""
        return 0 < len(self.rows.plays) >= 10 * len(self.rows.reject_lines)


def tried(look: Look, options: SchemaOptions) -> Trial | None:
    """Return the effect of options on the first file; None if they are invalid for it."""
    try:
        schema = resolve([look.file], options)
    except BadInputError:
        return None
    return Trial(options, schema, read_rows(whole_lines(look.head, schema), schema, file_start=True))


def described(look: Look, text: str, trial: Trial) -> Inspection:
    """Return the proposal for a trial.

    Raises
    ------
    BadInputError
        If it keeps no row, or another file of the source has other columns.
    """
    schema, rows = trial.schema, trial.rows
    path = look.file.path
    if not len(rows.plays):
        rejects = list(zip(rows.reject_reasons.tolist(), rows.reject_bytes.to_pylist(), strict=True))
        cause = likely_cause([(REASONS[reason], raw) for reason, raw in rejects[:_CAUSES]], schema)
        first = (
            f"; the first is rejected ({REASONS[rejects[0][0]]}): {rejects[0][1][:80]!r}" if rejects else ""
        )
        msg = f"{path}: no row at its start can be read by {options_text(trial.options)}{first}"
        raise BadInputError(f"{msg}\n{cause}".strip(), path=path)
    resolve(look.files, trial.options)
    header = first_record(text, schema) if schema.header else []
    names = header if len(header) == len(schema.columns) else [str(i + 1) for i in range(len(schema.columns))]
    return Inspection(
        path=look.given,
        format=trial.options.format or ("delimited" if not schema.fields else schema.kind),
        encoding=schema.encoding,
        delimiter=None if schema.fields else schema.delimiter,
        quote=schema.quote or None,
        header=schema.header,
        columns=tuple(zip(schema.fields or names, schema.columns, strict=True)),
        options=options_text(trial.options),
        rows=first_rows(rows),
        rejects={name: n for i, name in enumerate(REASONS) if (n := int((rows.reject_reasons == i).sum()))},
    )


def first_rows(rows: Rows) -> tuple[dict[str, Any], ...]:
    """Return rows as ingest would keep them, ten at most."""
    artists = [lower(name) for name in rows.artist[:N_ROWS].to_pylist()]
    shown: dict[str, Any] = {USER: rows.user[:N_ROWS].to_pylist(), ARTIST: artists}
    shown[PLAYS] = rows.plays[:N_ROWS].tolist()
    if rows.time is not None:
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

"""The definition of a row: the columns of a source by role, how they are written, and reasons for rejection. Pure."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.source_file import ARROW, PARQUET

USER, MBID, ARTIST, PLAYS, TIME = "user", "mbid", "artist", "plays", "time"
IGNORED = "-"
ROLES = (USER, MBID, ARTIST, PLAYS, TIME, IGNORED)

REASONS = (
    "line_too_long",
    "unclosed_quote",
    "invalid_json",
    "field_count",
    "invalid_utf8",
    "invalid_encoding",
    "empty_user",
    "empty_artist",
    "plays_not_a_number",
    "plays_out_of_range",
    "invalid_time",
)
"""Why a row is rejected, in order of precedence."""

MAX_LINE_BYTES = 1 << 20
MAX_PLAYS = (1 << 31) - 1
MAX_REJECT_BYTES = 1 << 10
"""How many bytes of a rejected row are kept."""

DIGITS, WHOLE, FLOAT = "digits", "whole", "float"
VALUES = (DIGITS, WHOLE, FLOAT)
"""How plays are written: only decimal digits; whole numbers, also as `49.0`; or any positive finite number."""

DELIMITED, JSON_LINES = "delimited", "json-lines"
UTF8 = "utf-8"


@dataclass(frozen=True, slots=True)
class Schema:
    """How the records of a source are read.

    Attributes
    ----------
    columns : tuple of str
        The role of each field of a record: user, mbid, artist, plays, time, or `-` for one that is not read.
    delimiter : str
        Separates fields: one character or several, without line ends.
    header : bool
        Whether the first record of each file names the columns.
    keep_case : bool
        Whether artist names stay as they are; otherwise they are lower-cased as `str.lower` does.
    with_mbid : bool
        Whether MBIDs are read.
    quote : str
        The character around fields that hold delimiters or line ends (RFC 4180); empty if quotes are text.
    encoding : str
        The name of a Python codec.
    values : str
        One of `VALUES`.
    events : bool
        Whether a row is one listen, without a column of plays.
    kind : str
        `delimited` text, `json-lines` (one JSON object a line), or the columnar `parquet` and `arrow`.
    fields : tuple of str
        The key of each column in a JSON object, dots between nested keys, or its name in a columnar file; empty for
        delimited text.
    """

    columns: tuple[str, ...]
    delimiter: str = "\t"
    header: bool = False
    keep_case: bool = False
    with_mbid: bool = False
    quote: str = ""
    encoding: str = UTF8
    values: str = WHOLE
    events: bool = False
    kind: str = DELIMITED
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_columns(self)
        _check_marks(self.delimiter, self.quote)
        object.__setattr__(self, "encoding", codec_name(self.encoding))
        if self.values not in VALUES:
            msg = f"values are {self.values!r}: {WHOLE} or {FLOAT} is allowed"
            raise BadInputError(msg)

    @property
    def is_columnar(self) -> bool:
        """Whether the source is read by columns instead of lines of text."""
        return self.kind in (PARQUET, ARROW)

    @property
    def with_time(self) -> bool:
        """Whether a column has the time of each row."""
        return TIME in self.columns

    @property
    def is_real(self) -> bool:
        """Whether values are float32 instead of whole plays."""
        return self.values == FLOAT and not self.events

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the columns that are read."""
        optional = (
            (PLAYS, not self.events),
            (MBID, self.with_mbid),
            (TIME, self.with_time),
        )
        return (USER, ARTIST, *(role for role, is_read in optional if is_read))


def _check_columns(schema: Schema) -> None:
    columns = schema.columns
    unknown = [column for column in columns if column not in ROLES]
    if unknown:
        msg = f"{', '.join(unknown)}: no such column role; allowed are {', '.join(ROLES)}"
        raise BadInputError(msg)
    if schema.events and PLAYS in columns:
        msg = f"columns are {','.join(columns)}: with --events a row is one listen, so write - in place of plays"
        raise BadInputError(msg)
    needed = [role for role in schema.roles if role != TIME]
    wrong = [role for role in needed if columns.count(role) != 1]
    if wrong or columns.count(MBID) > 1 or columns.count(TIME) > 1:
        hint = "; with --events no plays are needed" if wrong == [PLAYS] else ""
        msg = (
            f"columns are {','.join(columns)}: exactly one each of {', '.join(needed)} is needed"
            f" (name the roles in the order of the fields, with - for one that is not read{hint})"
        )
        raise BadInputError(msg)


def _check_marks(delimiter: str, quote: str) -> None:
    if not delimiter or any(sign in "\r\n" or "\ud800" <= sign <= "\udfff" for sign in delimiter):
        msg = f"the delimiter is {delimiter!r}: one character or several are allowed, no line end among them"
        raise BadInputError(msg)
    if quote and (len(quote) != 1 or not quote.isascii() or quote in "\r\n" or quote in delimiter):
        msg = f"the quote is {quote!r}: one ASCII character is allowed that is not in the delimiter, such as '\"'"
        raise BadInputError(msg)


def codec_name(encoding: str) -> str:
    """Return the name that Python gives an encoding; without a byte order mark UTF-16 and UTF-32 are little-endian.

    Raises
    ------
    BadInputError
        Where Python has no such text encoding, or one that cannot write a line of a log.
    """
    try:
        name = codecs.lookup(encoding).name
        name = {"utf-8-sig": UTF8, "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)
        sample = "user,1\t2\n"
        if sample.encode(name).decode(name) != sample:
            raise LookupError
    except (LookupError, ValueError) as error:
        msg = f"{encoding!r} is not an encoding that Python can read text in: utf-8, latin-1, cp1252, utf-16, … are"
        raise BadInputError(msg) from error
    return name

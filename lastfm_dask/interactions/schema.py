"""What a row is: the columns of a source by role, the formats known by name, and why a row is rejected. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lastfm_dask.errors import BadInputError

USER, MBID, ARTIST, PLAYS = "user", "mbid", "artist", "plays"
IGNORED = "-"
ROLES = (USER, MBID, ARTIST, PLAYS, IGNORED)

REASONS = (
    "line_too_long",
    "field_count",
    "invalid_utf8",
    "empty_user",
    "empty_artist",
    "plays_not_a_number",
    "plays_out_of_range",
)
"""Why a row is rejected, in order of precedence."""

MAX_LINE_BYTES = 1 << 20
MAX_PLAYS = (1 << 31) - 1
MAX_REJECT_BYTES = 1 << 10
"""How much of a rejected row is kept."""


@dataclass(frozen=True, slots=True)
class Schema:
    """How the lines of a source are read.

    Attributes
    ----------
    columns : tuple of str
        The role of each field of a line: user, mbid, artist, plays, or `-` for one that is not read.
    delimiter : str
        One ASCII character between fields.
    header : bool
        Whether the first line of each file names the columns, and is no row.
    keep_case : bool
        Whether artist names stay as they are; otherwise they are lower-cased as `str.lower` does.
    with_mbid : bool
        Whether MBIDs are read.
    """

    columns: tuple[str, ...]
    delimiter: str = "\t"
    header: bool = False
    keep_case: bool = False
    with_mbid: bool = False

    def __post_init__(self) -> None:
        unknown = [column for column in self.columns if column not in ROLES]
        if unknown:
            msg = f"{', '.join(unknown)}: no such column role; allowed are {', '.join(ROLES)}"
            raise BadInputError(msg)
        wanted = (USER, ARTIST, PLAYS, *((MBID,) if self.with_mbid else ()))
        wrong = [role for role in wanted if self.columns.count(role) != 1]
        if wrong or self.columns.count(MBID) > 1:
            msg = (
                f"columns are {','.join(self.columns)}: exactly one each of {', '.join(wanted)} is needed"
                " (name the roles in the order of the fields, with - for one that is not read)"
            )
            raise BadInputError(msg)
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in "\r\n":
            msg = f"the delimiter is {self.delimiter!r}: one ASCII character other than a line end is allowed"
            raise BadInputError(msg)


FORMATS = {
    "lastfm-360k": Schema((USER, MBID, ARTIST, PLAYS)),
    "hetrec-2k": Schema((USER, ARTIST, PLAYS), header=True),
}


@dataclass(frozen=True, slots=True)
class SchemaOptions:
    """What a caller asks for; None leaves the format's own value."""

    format: str = "lastfm-360k"
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    header: bool | None = None
    keep_case: bool = False
    with_mbid: bool = False

    def schema(self) -> Schema:
        """Return the schema; raises BadInputError where the format is unknown or the columns make no row."""
        if self.format not in FORMATS:
            msg = f"{self.format!r} is no known format; known are {', '.join(FORMATS)}"
            raise BadInputError(msg)
        given = {name: getattr(self, name) for name in ("columns", "delimiter", "header")}
        changes = {name: value for name, value in given.items() if value is not None}
        return replace(FORMATS[self.format], keep_case=self.keep_case, with_mbid=self.with_mbid, **changes)

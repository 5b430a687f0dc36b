"""The formats known by name, and what a caller says of a source: the two together make a schema. Pure.

Each format's shape is the one that its publisher describes; `SOURCES` says where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.schema import (
    ARTIST,
    DIGITS,
    FLOAT,
    IGNORED,
    JSON_LINES,
    MBID,
    PLAYS,
    ROLES,
    TIME,
    USER,
    Schema,
)
from lastfm_dask.sources.source_file import PARQUET

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_FORMAT = "lastfm-360k"
CUSTOM = "custom"
"""The name that a manifest records for columns without a format."""

SHAPES: dict[str, tuple[Schema, ...]] = {
    "lastfm-360k": (Schema((USER, MBID, ARTIST, PLAYS), values=DIGITS),),
    "hetrec-2k": (Schema((USER, ARTIST, PLAYS), header=True),),
    "lastfm-1k": (Schema((USER, TIME, MBID, ARTIST, IGNORED, IGNORED), events=True),),
    "lfm-1b": (Schema((USER, ARTIST, IGNORED, IGNORED, TIME), events=True),),
    "lfm-2b": (Schema((USER, ARTIST, IGNORED, TIME), header=True, events=True),),
    "listenbrainz": (
        Schema(
            (USER, ARTIST, TIME, MBID),
            events=True,
            kind=JSON_LINES,
            fields=(
                "user_name|user_id",
                "track_metadata.artist_name",
                "listened_at|timestamp",
                "track_metadata.mbid_mapping.artist_mbids|track_metadata.additional_info.artist_mbids",
            ),
        ),
    ),
    "yambda": (
        Schema((USER, ARTIST, TIME), events=True, kind=PARQUET, fields=("uid", "item_id", "timestamp")),
    ),
    "json-lines": (Schema((USER, ARTIST, PLAYS), kind=JSON_LINES, fields=(USER, ARTIST, PLAYS)),),
    "audioscrobbler": (Schema((USER, ARTIST, PLAYS), delimiter=" "),),
    "msd": (Schema((USER, ARTIST, PLAYS)),),
    "movielens": (
        Schema((USER, ARTIST, PLAYS, TIME), values=FLOAT),
        Schema((USER, ARTIST, PLAYS, TIME), delimiter="::", values=FLOAT),
        Schema((USER, ARTIST, PLAYS, TIME), delimiter=",", header=True, values=FLOAT),
    ),
}
"""Schemas by name; where a format was published in several shapes, the first line of a source says which it has."""

SOURCES = {
    "lastfm-360k": "README of lastfm-dataset-360K: usersha1, artist MBID, artist name, plays",
    "hetrec-2k": "readme of HetRec 2011 Last.fm: user_artists.dat with userID, artistID, weight",
    "lastfm-1k": "README of lastfm-dataset-1K: userid, timestamp, artist MBID, artist, track MBID, track",
    "lfm-1b": "Schedl 2016: LFM-1b_LEs.txt with user, artist, album, track, timestamp in seconds",
    "lfm-2b": "Schedl et al. 2022: listening-events.tsv with user_id, track_id, album_id, timestamp",
    "listenbrainz": "ListenBrainz, Data Dumps: .listens files, one JSON document a line",
    "yambda": "Yambda, flat/*/listens.parquet: uid, item_id, timestamp, …",
    "json-lines": "one JSON object a line; --columns names the keys, nested ones with dots",
    "audioscrobbler": "README of profiledata_06-May-2005: user_artist_data.txt with userid artistid playcount",
    "msd": "Echo Nest Taste Profile: train_triplets.txt with user, song, play count",
    "movielens": "READMEs of ml-100k (u.data), ml-1m (ratings.dat) and ml-latest (ratings.csv)",
}
"""Who says that a format has this shape."""

FORMATS = {name: shapes[0] for name, shapes in SHAPES.items()}

NAMES = {
    USER: "user userid usersha1 username uid listener",
    MBID: "mbid artistmbid artmbid musicbrainzartistid",
    ARTIST: "artist artistid artistname artname item itemid movie movieid song songid track trackid",
    PLAYS: "plays playcount playscount count weight rating value listens",
    TIME: "time timestamp listenedat date datetime",
}
"""What a header may call a column of each role, in lower case and without blanks and marks."""
_ROLE_OF = {name: role for role, names in NAMES.items() for name in names.split()}


def role_of(name: str) -> str | None:
    """Return the role that a header's word stands for; None if it says nothing.

    >>> role_of("userID"), role_of(' "artist_name" '), role_of("album")
    ('user', 'artist', None)
    """
    return _ROLE_OF.get("".join(sign for sign in name.lower() if sign.isalnum()))


@dataclass(frozen=True, slots=True)
class SchemaOptions:
    """What a caller asks for; None leaves the format's own value.

    Attributes
    ----------
    format : str or None
        One of `FORMATS`; without it, and without columns, `lastfm-360k`.
    columns : tuple of str or None
        Roles in the order of the fields, or `role=name` with the names that a header gives them.
    delimiter, header, quote, encoding, values, keep_case, with_mbid
        See `Schema`.
    events : bool
        Whether a row is one listen; a format may say so by itself.
    """

    format: str | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    header: bool | None = None
    keep_case: bool = False
    with_mbid: bool = False
    quote: str | None = None
    encoding: str | None = None
    values: str | None = None
    events: bool = False

    @property
    def name(self) -> str:
        """The format's name, as a manifest records it."""
        return self.format or (DEFAULT_FORMAT if self.columns is None else CUSTOM)

    @property
    def by_name(self) -> bool:
        """Whether the columns are named as in a header, not by position."""
        return any("=" in column for column in self.columns or ())

    @property
    def shapes(self) -> tuple[Schema, ...]:
        """The schemas to choose from before what the caller asks for; raises BadInputError for an unknown format."""
        if self.format is None and self.columns is not None:
            return (Schema((USER, ARTIST, PLAYS)),)
        if self.name not in FORMATS:
            msg = f"{self.name!r} is not a known format; known are {', '.join(FORMATS)}"
            raise BadInputError(msg)
        return SHAPES[self.name]

    def schema(self, shape: Schema | None = None, header: Sequence[str] | None = None) -> Schema:
        """Return the schema.

        Parameters
        ----------
        shape : Schema, optional
            One of `shapes`; the first unless given.
        header : sequence of str, optional
            What the source's header calls its columns; columns by name need it.

        Raises
        ------
        BadInputError
            If the format is unknown, the columns make no row, or the header lacks one of them.
        """
        shape = shape or self.shapes[0]
        given = {name: getattr(self, name) for name in ("delimiter", "header", "quote", "encoding", "values")}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        changes |= {"keep_case": self.keep_case, "with_mbid": self.with_mbid}
        changes["events"] = self.events or shape.events
        if self.columns is not None:
            changes["columns"] = self.columns
            if shape.kind == JSON_LINES:
                pairs = [column.partition("=")[::2] for column in self.columns]
                changes |= {
                    "columns": tuple(role for role, _ in pairs),
                    "fields": tuple(name or role for role, name in pairs),
                }
            elif self.by_name:
                changes |= {"columns": self._placed(header), "header": True}
            if PLAYS in changes["columns"] and not self.events:
                changes["events"] = False
        return replace(shape, **changes)

    def _placed(self, header: Sequence[str] | None) -> tuple[str, ...]:
        """Return the roles in the order of the header's columns."""
        wanted = dict(column.partition("=")[::2] for column in self.columns or ())
        unknown = [role for role in wanted if role not in ROLES]
        bare = [role for role, name in wanted.items() if not name]
        if unknown or bare or len(wanted) != len(self.columns or ()):
            msg = (
                f"columns are {','.join(self.columns or ())}: with names write role=name for each role that is read,"
                f" once each, such as user=userID,artist=artistID,plays=weight; roles are {', '.join(ROLES[:-1])}"
            )
            raise BadInputError(msg)
        if header is None:
            msg = f"columns are {','.join(self.columns or ())}: names need a source whose first line is a header"
            raise BadInputError(msg)
        wanted = {role: _as_written(name, header) for role, name in wanted.items()}
        missing = [name for name in wanted.values() if list(header).count(name) != 1]
        if missing:
            msg = (
                f"the header has no single column {', '.join(map(repr, missing))}; its columns are"
                f" {', '.join(map(repr, header))}: name those, as in {suggestion(header)}"
            )
            raise BadInputError(msg)
        roles = {name: role for role, name in wanted.items()}
        return tuple(roles.get(name, IGNORED) for name in header)


def _as_written(name: str, header: Sequence[str]) -> str:
    """Return a column's name with the blanks that a header has around it."""
    if name in header:
        return name
    near = [word for word in header if word.strip() == name.strip()]
    return near[0] if len(near) == 1 else name


def suggestion(header: Sequence[str]) -> str:
    """Return the `--columns` that a header's words suggest.

    >>> suggestion(["artistID", "userID", "tag", "weight"])
    '--header --columns user=userID,artist=artistID,plays=weight'
    """
    found: dict[str, str] = {}
    for name in header:
        if role := role_of(name):
            found.setdefault(role, name)
    for role, word in ((USER, "USER"), (ARTIST, "ARTIST")):
        found.setdefault(role, word)
    if PLAYS not in found and TIME not in found:
        found[PLAYS] = "PLAYS"
    order = [role for role in (USER, ARTIST, PLAYS, TIME) if role in found]
    events = "" if PLAYS in found else " --events"
    return f"--header --columns {','.join(f'{role}={found[role]}' for role in order)}{events}"

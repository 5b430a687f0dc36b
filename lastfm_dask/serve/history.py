"""Counts artists in an export of somebody's history while it arrives: nothing but names and counts is held.

Known are JSON exports of Spotify, ListenBrainz and Last.fm (the value of one key counts, wherever it stands), and
comma, semicolon or tab separated tables with an artist column. Anything else is refused.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter

from lastfm_dask.dataset.likes import MAX_PLAYS
from lastfm_dask.serve.problems import Problem
from lastfm_dask.serve.questions import MAX_NAME

MAX_BYTES = 64 << 20
MAX_S = 120.0
MAX_ARTISTS = 20_000
MAX_AT_ONCE = 2
"""Histories that are read at once."""
MAX_SHOWN = 1000
"""Matched and unmatched names that an answer lists."""

_TAIL_BYTES = 64 << 10
_LINE_LETTERS = 1 << 20
_TEXT = rb'("(?:[^"\\]|\\.)*+")'
_KEYS = {
    b"artistName": "Spotify",
    b"master_metadata_album_artist_name": "Spotify",
    b"artist_name": "ListenBrainz",
    b"artist": "Last.fm",
}
_ANY_KEY = re.compile(rb'"(' + b"|".join(_KEYS) + rb')"\s*:\s*["{]')
_VALUE = {key: re.compile(b'"' + key + rb'"\s*:\s*' + _TEXT) for key in _KEYS}
# The API of Last.fm nests the name: {"artist": {"mbid": "…", "#text": "…"}}.
_NESTED = re.compile(
    rb'"artist"\s*:\s*\{[^{}"]*(?:"[^"\\]*"\s*:\s*"[^"\\]*"\s*,\s*)*"(?:#text|name)"\s*:\s*' + _TEXT
)
_DELIMITERS = ("\t", ";", ",")


class Reader:
    """Takes an export piece by piece."""

    def __init__(self) -> None:
        self.format = ""
        self.n_rows = 0
        self._counts: Counter[str] = Counter()
        self._tail = b""
        self._table: _Table | None = None
        self._values: re.Pattern[bytes] | None = None
        self._is_json: bool | None = None

    def feed(self, piece: bytes) -> None:
        """Take the next piece; raises Problem if it is not a known export."""
        if self._is_json is None:
            start = (self._tail + piece).lstrip(codecs.BOM_UTF8).lstrip()
            if not start:
                self._tail = b""
                return
            if start.startswith(b"PK"):
                raise Problem(
                    415, "not_a_history", "this is a ZIP archive: unpack it and send the files in it"
                )
            self._is_json = start[:1] in b"[{"
            self._table = None if self._is_json else _Table()
            piece, self._tail = start, b""
        if self._table is not None:
            self._count_all(self._table.names(piece))
        else:
            self._feed_json(piece)

    def plays(self) -> dict[str, int]:
        """Return plays by artist, the most played first; raises Problem where no artist was found."""
        if self._table is not None:
            self._count_all(self._table.names(b"", ended=True))
            self.format = self._table.format
        if not self._counts:
            message = (
                "no artist was found: send an export of Last.fm (CSV or JSON), ListenBrainz or Spotify (JSON), or a"
                " table with a column called artist"
            )
            raise Problem(415, "not_a_history", message)
        return {name: min(n, MAX_PLAYS) for name, n in self._counts.most_common()}

    def _feed_json(self, piece: bytes) -> None:
        text = self._tail + piece
        if self._values is None:
            found = _ANY_KEY.search(text)
            if found is None:
                self._tail = text[-_TAIL_BYTES:]
                return
            key = found[1]
            self.format = _KEYS[key]
            self._values = _NESTED if found[0].endswith(b"{") else _VALUE[key]
        end = 0
        for match in self._values.finditer(text):
            end = match.end()
            self._count(match[1])
        self._tail = text[max(end, len(text) - _TAIL_BYTES) :]

    def _count(self, text: bytes) -> None:
        try:
            name = json.loads(text, strict=False)
        except ValueError:
            return
        self._count_all([name])

    def _count_all(self, names: list[str]) -> None:
        for name in names:
            if not name.strip() or len(name) > MAX_NAME:
                continue
            self.n_rows += 1
            self._counts[name.strip()] += 1
        if len(self._counts) > MAX_ARTISTS:
            message = f"this history names more than {MAX_ARTISTS:,} artists: send a part of it"
            raise Problem(413, "too_many_artists", message)


class _Table:
    """Lines of a table, and which column holds the artist."""

    def __init__(self) -> None:
        self.format = "table"
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._delimiter: str | None = None
        self._column = 0

    def names(self, piece: bytes, *, ended: bool = False) -> list[str]:
        """Return the artists of the lines that ended in this piece."""
        text = self._rest + self._decode(piece, ended)
        lines = text.split("\n")
        self._rest = "" if ended else lines.pop()
        if len(self._rest) > _LINE_LETTERS:
            raise Problem(
                415,
                "not_a_history",
                f"a line is longer than {_LINE_LETTERS} characters: this is not an export",
            )
        return [name for line in lines if line.strip() and (name := self._name(line.rstrip("\r")))]

    def _name(self, line: str) -> str | None:
        is_first = self._delimiter is None
        if is_first:
            self._delimiter = max(_DELIMITERS, key=line.count)
        try:
            row = next(csv.reader([line], delimiter=self._delimiter or ","))
        except (csv.Error, StopIteration):
            return None
        if is_first:
            heads = [cell.strip().lower() for cell in row]
            named = [
                i
                for i, head in enumerate(heads)
                if head in ("artist", "artist name", "artist_name", "artistname")
            ]
            if len(row) < 2 and not named:
                raise Problem(415, "not_a_history", "the first line is one column that is not called artist")
            if named:
                self._column = named[0]
                return None
            # The best-known export of Last.fm has no heads: artist, album, title, time.
            self.format = "Last.fm"
        return row[self._column] if self._column < len(row) else None

"""What ingest should find, worked out slowly: bytes split in plain Python, names and sums kept in dictionaries."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lastfm_dask.interactions.schema import MAX_LINE_BYTES, MAX_REJECT_BYTES, Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_PLAYS = 2**31 - 1


@dataclass
class Log:
    """One file: rows as (user, mbid, artist as written, plays), rejects as (line from 1, reason, bytes)."""

    rows: list[tuple[str, str, str, int]] = field(default_factory=list)
    rejects: list[tuple[int, str, bytes]] = field(default_factory=list)
    n_lines: int = 0


def read_log(
    data: bytes, schema: Schema, *, max_line: int = MAX_LINE_BYTES, max_reject: int = MAX_REJECT_BYTES
) -> Log:
    """Read a whole file as a row is defined, one line after the other."""
    *pieces, last = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = [piece.removesuffix(b"\r") for piece in pieces] + ([last] if last else [])
    log = Log(n_lines=len(lines))
    for number, line in enumerate(lines, 1):
        if number == 1 and schema.header:
            continue
        row = read_line(line, schema, max_line)
        if isinstance(row, str):
            log.rejects.append((number, row, line[:max_reject]))
        else:
            log.rows.append(row)
    return log


def read_line(line: bytes, schema: Schema, max_line: int) -> tuple[str, str, str, int] | str:
    """Return a row, or why it is none."""
    if len(line) > max_line:
        return "line_too_long"
    fields = line.split(schema.delimiter.encode())
    if len(fields) != len(schema.columns):
        return "field_count"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "invalid_utf8"
    cells = dict(zip(schema.columns, fields, strict=True))
    for role in ("user", "artist"):
        if not cells[role]:
            return f"empty_{role}"
    number = rb"([0-9]+)" if schema.values == "digits" else rb"([0-9]+)(?:\.0+)?"
    if not (written := re.fullmatch(number, cells["plays"])):
        return "plays_not_a_number"
    digits = written[1].lstrip(b"0")
    if not digits or len(digits) > 10 or int(digits) > MAX_PLAYS:
        return "plays_out_of_range"
    mbid = cells.get("mbid", b"") if schema.with_mbid else b""
    return cells["user"].decode(), mbid.decode(), cells["artist"].decode(), int(digits)


@dataclass
class Mapped:
    """Rows with ids in order of first appearance, duplicates summed."""

    users: dict[str, int] = field(default_factory=dict)
    artists: dict[str, int] = field(default_factory=dict)
    plays: dict[tuple[int, int], int] = field(default_factory=dict)
    user_plays: list[list[int]] = field(default_factory=list)
    artist_plays: list[list[int]] = field(default_factory=list)
    artist_mbids: list[list[str]] = field(default_factory=list)
    mbid_order: dict[str, int] = field(default_factory=dict)

    def medians(self) -> list[float]:
        return [float(statistics.median(plays)) for plays in self.user_plays]

    def mbid_of(self, artist: int) -> tuple[str | None, int]:
        """Return an artist's most frequent MBID, the first seen of equals, and how many it has."""
        mbids = [mbid for mbid in self.artist_mbids[artist] if mbid]
        ranked = sorted(set(mbids), key=lambda mbid: (-mbids.count(mbid), self.mbid_order[mbid]))
        return (ranked[0] if ranked else None), len(ranked)

    def csr(self) -> tuple[list[int], list[int], list[int]]:
        """Return indptr, indices, and exact sums."""
        ordered = sorted(self.plays)
        indptr = [sum(user < u for user, _ in ordered) for u in range(len(self.users) + 1)]
        return indptr, [artist for _, artist in ordered], [self.plays[pair] for pair in ordered]


def map_rows(rows: Iterable[tuple[str, str, str, int]], schema: Schema) -> Mapped:
    """Fill dictionaries in file order."""
    mapped = Mapped()
    for user, mbid, written, plays in rows:
        artist = written if schema.keep_case else written.lower()
        u = mapped.users.setdefault(user, len(mapped.users))
        a = mapped.artists.setdefault(artist, len(mapped.artists))
        mapped.user_plays += [[]] * (u == len(mapped.user_plays))
        mapped.artist_plays += [[]] * (a == len(mapped.artist_plays))
        mapped.artist_mbids += [[]] * (a == len(mapped.artist_mbids))
        mapped.user_plays[u] = [*mapped.user_plays[u], plays]
        mapped.artist_plays[a] = [*mapped.artist_plays[a], plays]
        mapped.artist_mbids[a] = [*mapped.artist_mbids[a], mbid]
        mapped.mbid_order.setdefault(mbid, len(mapped.mbid_order))
        mapped.plays[u, a] = mapped.plays.get((u, a), 0) + plays
    return mapped


def reject_lines(logs: Sequence[tuple[str, Log]]) -> bytes:
    """Return the bytes of `rejects.tsv` for files with these paths."""
    return b"".join(
        b"%s\t%d\t%s\t%s\n" % (path.encode(), number, reason.encode(), raw)
        for path, log in logs
        for number, reason, raw in log.rejects
    )

"""Logs of odd shapes: what a row allows, at its extremes, in any size and from a seed."""

from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _each(n: int, line: Callable[[int], bytes]) -> Iterator[bytes]:
    for first in range(0, n, 4096):
        yield b"".join(map(line, range(first, min(first + 4096, n))))


def short_lines(n: int, rng: random.Random) -> Iterator[bytes]:
    """The shortest valid line, again and again: 7 bytes."""
    yield from (b"u\t\ta\t1\n" * 4096 for _ in range(n // 4096 + 1))


def empty_lines(n: int, rng: random.Random) -> Iterator[bytes]:
    """Nothing but line ends behind one row: all are rejected."""
    yield b"u\t\ta\t1\n"
    yield from (b"\n" * (1 << 16) for _ in range(n // (1 << 16) + 1))


def all_rejects(n: int, rng: random.Random) -> Iterator[bytes]:
    """One good row, then rows without plays."""
    yield b"u\t\ta\t1\n"
    yield from _each(n, lambda i: b"user%d\t\tartist%d\tlots\n" % (i % 1000, rng.randrange(1000)))


def one_user(n: int, rng: random.Random) -> Iterator[bytes]:
    """One user with all rows, of few artists in no order."""
    yield from _each(n, lambda _: b"u\t\tartist%d\t%d\n" % (rng.randrange(40_000), rng.randrange(1, 500)))


def one_user_all_artists(n: int, rng: random.Random) -> Iterator[bytes]:
    """One user whose every row is another artist."""
    yield from _each(n, lambda i: b"u\t\tartist%d\t1\n" % i)


def every_row_another_artist(n: int, rng: random.Random) -> Iterator[bytes]:
    """Users of fifty rows; no artist comes twice."""
    yield from _each(n, lambda i: b"%040x\t\tsome artist %d\t1\n" % (i // 50, i))


def users_of_one_row(n: int, rng: random.Random) -> Iterator[bytes]:
    """As many users as rows."""
    yield from _each(n, lambda i: b"%040x\t\tartist%d\t%d\n" % (i, rng.randrange(20_000), 1 + i % 90))


def not_grouped(n: int, rng: random.Random) -> Iterator[bytes]:
    """Rows in any order of their users."""
    yield from _each(
        n, lambda _: b"%040x\t\tartist%d\t7\n" % (rng.randrange(max(n // 7, 1)), rng.randrange(20_000))
    )


def long_names_late(n: int, rng: random.Random) -> Iterator[bytes]:
    """Rows as usual, then names of 60 KB."""
    yield from _each(n, lambda i: b"user%d\t\tartist%d\t5\n" % (i // 50, i % 9973))
    for i in range(n // 200):
        yield b"last\t\t%s%d\t5\n" % (b"x" * 60_000, i)


def short_lines_late(n: int, rng: random.Random) -> Iterator[bytes]:
    """Rows of 200 bytes, then the shortest."""
    yield from _each(n // 20, lambda i: b"%0150x\t\tsome artist of a long name %d\t5\n" % (i // 50, i % 997))
    yield from _each(n, lambda i: b"u%d\t\ta\t1\n" % (i % 10))


def distinct_late(n: int, rng: random.Random) -> Iterator[bytes]:
    """Few artists at first, then another in every row."""
    yield from _each(n, lambda i: b"user%d\t\tartist%d\t5\n" % (i // 50, rng.randrange(100)))
    yield from _each(n, lambda i: b"late%d\t\tnew artist %d\t5\n" % (i // 50, i))


def non_ascii(n: int, rng: random.Random) -> Iterator[bytes]:
    """Names that Python, not Arrow, puts into lower case."""
    yield from _each(n, lambda i: f"üser{i // 30}\t\tÄRTIST ΣΑΣ {rng.randrange(n)}\t3\n".encode())


def carriage_returns(n: int, rng: random.Random) -> Iterator[bytes]:
    """A stray carriage return in every tenth row, which the fast reader can't take."""
    yield from _each(
        n, lambda i: b"user%d\t\tart%sist%d\t3\n" % (i // 40, b"\r" * (i % 10 == 0), rng.randrange(9000))
    )


def invalid_utf8(n: int, rng: random.Random) -> Iterator[bytes]:
    """Every third name is not UTF-8."""
    yield from _each(
        n, lambda i: b"user%d\t\tart%sist%d\t3\n" % (i // 40, b"\xff" * (i % 3 == 0), rng.randrange(900))
    )


def as_published(n: int, rng: random.Random) -> Iterator[bytes]:
    """Fifty rows a user, plays falling, popular artists first."""
    yield from _each(
        n,
        lambda i: (
            b"%040x\t%036x\tthe band %d\t%d\n"
            % (i // 50, i, int(rng.paretovariate(0.6)) % 300_000, 900 - i % 50)
        ),
    )


def one_artist(n: int, rng: random.Random) -> Iterator[bytes]:
    """One artist whom everybody plays, and nobody plays another."""
    yield from _each(n, lambda i: b"%040x\t\tthe one\t%d\n" % (i, 1 + i % 70))


def users_alike(n: int, rng: random.Random) -> Iterator[bytes]:
    """Users who all have the same forty artists, played as often."""
    yield from _each(n, lambda i: b"user%d\t\tartist%d\t%d\n" % (i // 40, i % 40, 40 - i % 40))


def names_of_one_byte(n: int, rng: random.Random) -> Iterator[bytes]:
    """A few letters as users and artists, in no order."""
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    yield from _each(n, lambda _: b"%c\t\t%c\t3\n" % (rng.choice(letters), rng.choice(letters)))


def names_of_60_kb(n: int, rng: random.Random) -> Iterator[bytes]:
    """Hardly any rows, each with another name of 60 KB."""
    for i in range(n // 500):
        yield b"user%d\t\t%s%d\t5\n" % (i // 5, b"y" * 60_000, i)


def names_of_four_byte_letters(n: int, rng: random.Random) -> Iterator[bytes]:
    """Names beyond the basic plane."""
    yield from _each(
        n,
        lambda i: f"{chr(0x1F600 + i // 30 % 80) * 5}{i // 30}\t\t{'𝄞' * 12}{rng.randrange(n)}\t3\n".encode(),
    )


def huge_plays(n: int, rng: random.Random) -> Iterator[bytes]:
    """Plays near 2^31, summed over many rows of a pair, and some beyond 2^63, which are rejected."""
    plays = (2**31 - 1, 2**31 - 2, 2**31, 2**63 - 1, 2**63, 10**30, 2**24 + 1)
    yield from _each(
        n,
        lambda i: b"user%d\t\tartist%d\t%d\n" % (i // 60, rng.randrange(30), rng.choice(plays[: 2 + i % 6])),
    )


def by_artist(n: int, rng: random.Random) -> Iterator[bytes]:
    """Sorted by artist: every user comes again for each of them."""
    users = max(n // 60, 1)
    yield from _each(n, lambda i: b"%040x\t\tartist%d\t%d\n" % (i % users, i // users, 1 + i % 50))


def one_pair(n: int, rng: random.Random) -> Iterator[bytes]:
    """The same user and artist in all rows, in other plays."""
    yield from _each(n, lambda i: b"somebody\t\tsomething\t%d\n" % (1 + i))


def long_and_short(n: int, rng: random.Random) -> Iterator[bytes]:
    """Lines of 1 MB and the shortest ones by turns."""
    for i in range(max(n // 40_000, 1)):
        yield b"user%d\t\t%s%d\t5\n" % (i, b"z" * 1_000_000, i)
        yield b"u\t\ta\t1\n" * 40_000


def case_alone_differs(n: int, rng: random.Random) -> Iterator[bytes]:
    """Names that differ in case alone: many in each block, one artist in the end."""
    yield from _each(
        n,
        lambda i: (
            b"user%d\t\t%s\t3\n"
            % (
                i // 50,
                bytes(c ^ (32 * (rng.random() < 0.5)) for c in b"thebandwithmanynames"),
            )
        ),
    )


def one_user_among_many(n: int, rng: random.Random) -> Iterator[bytes]:
    """Small lists, and in the middle a user who has half of the log."""
    yield from _each(n // 4, lambda i: b"%040x\t\tartist%d\t3\n" % (i // 9, rng.randrange(9000)))
    yield from _each(n // 2, lambda i: b"giant\t\trare artist %d\t2\n" % i)
    yield from _each(n // 4, lambda i: b"%040x\t\tartist%d\t3\n" % (n + i // 9, rng.randrange(9000)))


def long_users(n: int, rng: random.Random) -> Iterator[bytes]:
    """Users of two rows whose names have a long beginning in common."""
    yield from _each(n // 10, lambda i: b"%s%d\t\tartist%d\t3\n" % (b"http://user/" * 60, i // 2, i % 999))


def users_come_back(n: int, rng: random.Random) -> Iterator[bytes]:
    """The users of a thousand rows again and again, each time with another artist."""
    yield from _each(n, lambda i: b"user%d\t\tartist%d\t1\n" % (i % 1000, i // 1000))


def lists_grow(n: int, rng: random.Random) -> Iterator[bytes]:
    """Users of one row at first, and of longer and longer lists."""
    i = user = 0
    while i < n:
        size = 1 + user // 40
        yield b"".join(
            b"user%d\t\tartist%d\t%d\n" % (user, rng.randrange(1 + user), 1 + k) for k in range(size)
        )
        i, user = i + size, user + 1


SHAPES: dict[str, Callable[[int, random.Random], Iterator[bytes]]] = {
    shape.__name__: shape
    for shape in (
        short_lines,
        empty_lines,
        all_rejects,
        one_user,
        one_user_all_artists,
        every_row_another_artist,
        users_of_one_row,
        not_grouped,
        long_names_late,
        short_lines_late,
        distinct_late,
        non_ascii,
        carriage_returns,
        invalid_utf8,
        as_published,
        one_artist,
        users_alike,
        names_of_one_byte,
        names_of_60_kb,
        names_of_four_byte_letters,
        huge_plays,
        by_artist,
        one_pair,
        long_and_short,
        case_alone_differs,
        one_user_among_many,
        long_users,
        users_come_back,
        lists_grow,
    )
}


def mixture(n: int, rng: random.Random) -> Iterator[bytes]:
    """Stretches of other shapes, one after the other."""
    for shape in rng.sample(list(SHAPES.values()), 3):
        yield from shape(n // 3, rng)


SHAPES["mixture"] = mixture
# Of the same seeds, other ones.
SHAPES |= {f"mixture_{number}": mixture for number in range(2, 6)}


def _as_text(lines: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    for part in lines:
        yield part.decode("utf-8", "replace").encode(encoding)


def _as_quoted(lines: Iterator[bytes]) -> Iterator[bytes]:
    for part in lines:
        quoted = part.replace(b'"', b'""').replace(b"\t", b'","').replace(b"\n", b'"\n"')
        yield b'"' + quoted.removesuffix(b'"')


def _fields(lines: Iterator[bytes]) -> Iterator[list[str]]:
    for part in lines:
        for line in part.decode("utf-8", "replace").splitlines():
            fields = line.split("\t")
            if len(fields) == 4:
                yield fields


def _as_json_lines(lines: Iterator[bytes], *, events: bool = False) -> Iterator[bytes]:
    for user, _, artist, plays in _fields(lines):
        row = {"user": user, "artist": artist, **({} if events else {"plays": plays})}
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _write_parquet(path: Path, lines: Iterator[bytes], *, as_dictionary: bool) -> None:
    """Write a file of one row group, its names as plain texts or as dictionaries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: tuple[list[str], list[str], list[int]] = ([], [], [])
    for user, _, artist, plays in _fields(lines):
        number = int(plays) if plays.isdigit() else 0
        for column, value in zip(columns, (user, artist, number if number < 2**62 else 0), strict=True):
            column.append(value)
    names = [pa.array(column, pa.string()) for column in columns[:2]]
    if as_dictionary:
        names = [name.dictionary_encode() for name in names]
    table = pa.table({"user": names[0], "artist": names[1], "plays": pa.array(columns[2], pa.int64())})
    pq.write_table(table, path, row_group_size=max(table.num_rows, 1), use_dictionary=as_dictionary)


FORMATS = {
    "tsv": (".tsv", ()),
    "gz": (".tsv.gz", ()),
    "quoted": (".csv", ("--columns", "user,-,artist,plays", "--delimiter", ",", "--quote", '"')),
    "utf-16": (".txt", ("--encoding", "utf-16-le")),
    "utf-32": (".txt", ("--encoding", "utf-32-be")),
    "float": (".tsv", ("--values", "float")),
    "json": (".jsonl", ("--columns", "user=user,artist=artist,plays=plays")),
    "events": (".jsonl", ("--columns", "user=user,artist=artist", "--events")),
    "parquet": (".parquet", ("--columns", "user=user,artist=artist,plays=plays")),
    "parquet-dictionary": (".parquet", ("--columns", "user=user,artist=artist,plays=plays")),
}
"""The ending of a file and the options to read it, by the name of a format."""


def write_log(path: Path, shape: str, n_rows: int, seed: int, form: str = "tsv") -> None:
    lines = SHAPES[shape](n_rows, random.Random(f"{shape} {seed}"))
    if form.startswith("parquet"):
        _write_parquet(path, lines, as_dictionary=form == "parquet-dictionary")
        return
    if form.startswith("utf-"):
        lines = _as_text(
            lines, dict(zip(FORMATS[form][1][::2], FORMATS[form][1][1::2], strict=True))["--encoding"]
        )
    elif form == "quoted":
        lines = _as_quoted(lines)
    elif form in ("json", "events"):
        lines = _as_json_lines(lines, events=form == "events")
    with path.open("wb") as raw:
        packed = path.suffix == ".gz"
        file = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) if packed else raw
        for part in lines:
            file.write(part)
        file.close()

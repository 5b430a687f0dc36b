"""Logs of odd shapes: what a row allows, at its extremes, in any size and from a seed."""

from __future__ import annotations

import gzip
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
    )
}


def mixture(n: int, rng: random.Random) -> Iterator[bytes]:
    """Stretches of other shapes, one after the other."""
    for shape in rng.sample(list(SHAPES.values()), 3):
        yield from shape(n // 3, rng)


SHAPES["mixture"] = mixture


def write_log(path: Path, shape: str, n_rows: int, seed: int) -> None:
    with path.open("wb") as raw:
        packed = path.suffix == ".gz"
        file = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) if packed else raw
        for lines in SHAPES[shape](n_rows, random.Random(f"{shape} {seed}")):
            file.write(lines)
        file.close()

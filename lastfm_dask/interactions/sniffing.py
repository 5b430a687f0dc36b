"""Guesses about text: its encoding, what separates its fields, whether they are quoted, and what its columns hold. Pure.

Guesses are only for `inspect` and error messages; an ingest follows its options.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.interactions.formats import role_of
from lastfm_dask.interactions.headers import marked_encoding
from lastfm_dask.interactions.schema import ARTIST, IGNORED, MBID, PLAYS, TIME, USER, UTF8

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DELIMITERS = ("\t", ",", ";", "|", "::", "\x01", " ")
_WITH_BLANKS = ",;|"
_STEADY = 0.8
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_EPOCH = re.compile(r"\d{9,10}|\d{12,13}")
_ANY = re.compile(r"(?s:.+)")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_EDGES = (r"(?:(?<=[\n,;|\t:\x01])|(?<=[,;|] )|\A)", r"(?=[,;|\t:\x01\r\n]|\Z)")
_QUOTED = {
    quote: re.compile(f"{_EDGES[0]}{quote}(?:[^{quote}]|{quote * 2})*{quote}{_EDGES[1]}") for quote in "\"'"
}
_BEGUN = {quote: re.compile(_EDGES[0] + quote) for quote in "\"'"}
_FEW = {'"': 0.01, "'": 0.2}
"""The share of fields that must be quoted: names may begin and end with an apostrophe."""
_ENCODINGS = ("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp1251", "koi8_r", "cp1253")
_RUN = re.compile(rb"[\x80-\xff]+")
_ODD = re.compile(
    rb"[\x81-\x84\x86-\x89\x8b\x8d\x8f\x90\x98\x9b\x9d\xa2-\xa8\xac\xad\xaf\xb1-\xb3\xb5\xb6\xb8\xb9\xbc-\xbe]"
)
"""Bytes that are rare in Western text."""
_MOST_ODD, _MOST_LONG, _LONG = 0.05, 0.1, 3
_SHOWN = 24
_MBID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def guess_encoding(head: bytes) -> str | None:
    """Return the encoding of a byte order mark, UTF-8 if the bytes are valid, cp1252 if they look Western; otherwise None."""
    if encoding := marked_encoding(head):
        return encoding
    # UTF-16 of ASCII text is valid UTF-8 with a NUL in every other place.
    zeros = [head[i::2].count(0) / max(1, len(head[i::2])) for i in (0, 1)]
    wide = ("utf-16-be", "utf-16-le")[zeros.index(max(zeros))]
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        if max(zeros) > _STEADY / 4:
            return wide
    else:
        return wide if max(zeros) > _STEADY / 2 else UTF8
    runs = [len(run) for run in _RUN.findall(head)]
    is_western = len(_ODD.findall(head)) <= _MOST_ODD * sum(runs) and sum(
        run >= _LONG for run in runs
    ) <= _MOST_LONG * len(runs)
    return "cp1252" if is_western else None


def readings(raw: bytes) -> str:
    """Return how the first non-ASCII name reads in each encoding that the bytes may be in."""
    found = []
    for encoding in _ENCODINGS:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(raw)
        except UnicodeDecodeError:
            continue
        fields = (field.strip(" \"'") for field in re.split(r"[\t\n,;|]", text))
        name = next((field for field in fields if not field.isascii()), "")
        if name.isprintable():
            found.append(f"{encoding} {name[:_SHOWN]!r}")
    return ", ".join(found) or "none of the common ones reads it"


def guess_delimiter(lines: Sequence[str], n_fields: int | None = None) -> str | None:
    """Return the delimiter of lines; None if none splits most of them into equally many fields.

    A delimiter that splits the first line into the names of two columns is preferred.

    Parameters
    ----------
    lines : sequence of str
        Some lines.
    n_fields : int, optional
        How many fields there must be; two or more unless given.
    """
    best: tuple[bool, float, int] | None = None
    found = None
    for order, delimiter in enumerate(_DELIMITERS):
        counts = Counter(line.count(delimiter) + 1 for line in lines)
        n, times = max(
            ((n, times) for n, times in counts.items() if n > 1 and n_fields in (None, n)),
            key=lambda pair: pair[1],
            default=(0, 0),
        )
        share = times / max(1, len(lines))
        names_columns = bool(lines) and len({*map(role_of, lines[0].split(delimiter))} - {None}) > 1
        rank = (names_columns, round(share, 1), -order)
        if n and share >= _STEADY and (best is None or rank > best):
            best, found = rank, delimiter
    if (
        found
        and found in _WITH_BLANKS
        and all(line.count(found) == line.count(f"{found} ") for line in lines)
    ):
        return f"{found} "
    return found


def without_quoted(text: str) -> tuple[str, str]:
    """Return a text with `Q` for each quoted field, and the quote where its fields are quoted, else an empty text.

    A quoted field stands between delimiters. If only a few fields are quoted, they are names in quotes, unless one
    contains a delimiter or line end.
    """
    n_fields = 1 + sum(map(text.count, "\n,;|\t"))
    for quote, few in _FEW.items():
        found = _QUOTED[quote].findall(text)
        bare = _QUOTED[quote].sub("Q", text)
        begun = len(_BEGUN[quote].findall(bare))
        needed = quote == '"' and any(set(field[1:-1]) & {*'"\n,;|\t'} for field in found)
        if len(found) > begun and (needed or len(found) >= few * n_fields):
            return bare, quote
    return text, ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of delimited text as they seem to be: a header's names, if there is one, and a role for each."""

    header: tuple[str, ...] | None
    roles: tuple[str, ...]
    is_real: bool


def guess_layout(records: Sequence[Sequence[str]]) -> Layout:
    """Return the layout of records, which have equally many fields and the first of which may be a header."""
    first, rest = records[0], records[1:]
    named = [role_of(name) for name in first]
    numeric = [i for i in range(len(first)) if _all(rest, i, _NUMBER)]
    looks_named = bool(rest) and any(first[i] and not _NUMBER.fullmatch(first[i]) for i in numeric)
    has_header = len({role for role in named if role}) >= 2 or looks_named
    rows = rest if has_header else records
    roles: dict[int, str] = {}
    if has_header:
        for i, role in enumerate(named):
            if role and role not in roles.values():
                roles[i] = role
    _add_by_content(roles, rows, len(first))
    plays = next((i for i, role in roles.items() if role == PLAYS), None)
    is_real = plays is not None and any(
        "." in row[plays] and not row[plays].rstrip("0").endswith(".") for row in rows
    )
    return Layout(
        tuple(first) if has_header else None, tuple(roles.get(i, IGNORED) for i in range(len(first))), is_real
    )


def _add_by_content(roles: dict[int, str], rows: Sequence[Sequence[str]], n_columns: int) -> None:
    """Assign the remaining roles to columns that look like them."""

    def take(role: str, looks: Callable[[int], bool], *, last: bool = False) -> None:
        free = [i for i in range(n_columns) if i not in roles and looks(i)]
        if role not in roles.values() and free:
            roles[free[-1 if last else 0]] = role

    take(TIME, lambda i: _all(rows, i, _TIME) or _all(rows, i, _EPOCH))
    take(MBID, lambda i: _all(rows, i, _MBID))
    empty = sum(i not in roles and not _all(rows, i, _ANY) for i in range(n_columns))
    known = len(roles) + empty
    # Ids may be numbers too: user and artist choose first.
    if n_columns - known > 2 or PLAYS in roles.values():
        take(PLAYS, lambda i: _all(rows, i, _NUMBER), last=True)
    take(USER, lambda i: _all(rows, i, _ANY))
    take(ARTIST, lambda i: _all(rows, i, _ANY) and not _all(rows, i, _NUMBER))
    take(ARTIST, lambda i: _all(rows, i, _ANY))


def _all(rows: Sequence[Sequence[str]], i: int, pattern: re.Pattern[str]) -> bool:
    """Whether most fields of a column are of a kind; empty ones do not count."""
    filled = [row[i] for row in rows if row[i]]
    return bool(filled) and sum(bool(pattern.fullmatch(field)) for field in filled) >= 0.95 * len(filled)

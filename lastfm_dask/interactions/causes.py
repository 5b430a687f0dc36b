"""Likely causes of rejected rows, judged by their bytes, and the option or change that fixes each. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from lastfm_dask.interactions.headers import records_of
from lastfm_dask.interactions.schema import DELIMITED, PLAYS, TIME, UTF8
from lastfm_dask.interactions.sniffing import guess_delimiter, guess_encoding, readings, without_quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.interactions.schema import Schema

_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[0-9]{1,3}([,.' \u00a0\u202f][0-9]{3})+")
_COMMA = re.compile(r"[0-9]+,[0-9]+")


def likely_cause(rejects: Sequence[tuple[str, bytes]], schema: Schema) -> str:
    """Return the likely cause of most of these rejects and its fix; empty if none is known.

    Parameters
    ----------
    rejects : sequence of (str, bytes)
        Reason and bytes of each.
    schema : Schema
        How they were read.
    """
    if not rejects or schema.kind != DELIMITED:
        return ""
    reason = Counter(reason for reason, _ in rejects).most_common(1)[0][0]
    lines = [raw for found, raw in rejects if found == reason]
    if reason in ("invalid_utf8", "invalid_encoding"):
        return _cause_of_encoding(b"\n".join(lines))
    texts = [line.decode(schema.encoding, "replace") for line in lines]
    if reason == "field_count":
        return _cause_of_counts(texts, schema)
    if reason == "plays_not_a_number":
        return _cause_of_plays(texts, schema)
    if reason == "invalid_time":
        times = _fields(texts, schema, TIME)
        return f"Times are written like {times[0]!r}: ISO 8601 or a whole number is read" if times else ""
    if reason == "unclosed_quote":
        return "Quotes may be ordinary characters in this source: leave out --quote"
    return ""


def _cause_of_encoding(raw: bytes) -> str:
    encoding = guess_encoding(raw)
    if encoding is None:
        return f"The encoding may be one of several, name it with --encoding: {readings(raw)}"
    return f"The encoding looks like {encoding}: --encoding {encoding}" if encoding != UTF8 else ""


def _fields(texts: Sequence[str], schema: Schema, role: str) -> list[str]:
    """Return the fields of a role; a truncated line, or one split at other delimiters, may lack it."""
    place = schema.columns.index(role)
    records = (next(records_of(text, schema), []) for text in texts)
    return [record[place] for record in records if len(record) > place]


def _cause_of_plays(texts: Sequence[str], schema: Schema) -> str:
    numbers = [number for number in _fields(texts, schema, PLAYS) if number]
    if not numbers:
        return ""
    # The first text that is nearly a number is a better example than a word.
    for number in numbers:
        bare = number.strip()
        if _REAL.fullmatch(number):
            return f"Plays are not whole numbers, such as {number!r}: --values float reads them"
        if bare != number and _REAL.fullmatch(bare):
            delimiter = f"{schema.delimiter} "
            if all(text.count(schema.delimiter) == text.count(delimiter) for text in texts):
                return f"Blanks follow the delimiter: --delimiter {delimiter!r}"
            return f"There are blanks around plays, such as {number!r}: remove them first"
        if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
            return f"Plays are quoted, such as {number}: --quote {bare[0]!r} reads them"
        if _THOUSANDS.fullmatch(bare):
            return f"Plays seem to have thousands separators, such as {number!r}: remove the separators"
        if _COMMA.fullmatch(bare):
            return f"Plays have a decimal comma, such as {number!r}: write a point, and read them with --values float"
    return ""


def _cause_of_counts(texts: Sequence[str], schema: Schema) -> str:
    expected = len(schema.columns)
    bare, quote = without_quoted("\n".join(texts))
    if (
        not schema.quote
        and quote
        and {len(line.split(schema.delimiter)) for line in bare.split("\n")} == {expected}
    ):
        return f"Quoted fields hold the delimiter: --quote {quote!r} reads them"
    n_found = Counter(len(text.split(schema.delimiter)) for text in texts).most_common(1)[0][0]
    counts = f"{expected} fields expected, {n_found} found"
    if delimiter := guess_delimiter(texts, expected):
        return f"{counts}: the delimiter looks like {delimiter!r} (--delimiter)"
    if n_found > 1:
        return f"{counts}: --columns names each field, with - for one that is not read"
    delimiter = guess_delimiter(texts)
    return f"{counts}: the delimiter looks like {delimiter!r} (--delimiter, --columns)" if delimiter else ""

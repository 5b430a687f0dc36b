"""Bytes of logs that readers judge differently, for property tests; and small limits, so that lines are too long."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING
from unittest import mock

from hypothesis import strategies as st

from lastfm_dask import interactions
from lastfm_dask.interactions import blocks, fast, places, reader
from lastfm_dask.interactions.schema import MBID, PLAYS, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE = 48
"""What `short_lines` allows, in bytes."""
MAX_REJECT = 20
"""How much of a rejected line it keeps."""

BOM = b"\xef\xbb\xbf"
_names = st.sampled_from(
    [
        *(
            b"u",
            b"v",
            b"w",
            b"Ab",
            b" a",
            b"a ",
            b'"',
            b'"weird al"',
            b'q"',
            b"'",
            b"nan",
            b"NULL",
            b"n/a",
            b"none",
        ),
        *(
            b"",
            b"\r",
            b"a\rb",
            b"\r\r",
            b"\0",
            b"a\0",
            b"#",
            b"\\",
            b",",
            b"x" * (MAX_LINE - 6),
            b"y" * 3 * MAX_LINE,
        ),
        *(b"\xff", b"\xed\xa0\x80", b"\xe2\x80", b"\xc3", BOM, BOM + b"u"),
        *(text.encode() for text in ("é", "É", "ΑΣ", "İ", "\x85", "\u2028", "\u00a0", "ß", "🎵", "koЯn")),
    ]
)
_plays = st.sampled_from(
    [
        *(
            b"1",
            b"5",
            b"10",
            b"99",
            b"2147483647",
            b"2147483648",
            b"4294967297",
            b"9" * 25,
            b"0" * 20 + b"7",
            b"007",
        ),
        *(
            b"0",
            b"00",
            b" 5",
            b"5 ",
            b"\t",
            b"0x1F",
            b"+5",
            b"-1",
            b"",
            b"1.0",
            b"49.00",
            b"1.",
            b".0",
            b"0.0",
            b"1.5",
            b"1e3",
            b"1_0",
            b"nan",
            b"5\r",
        ),
        *("٣".encode(), "５".encode(), b"5\0", b"\xff", b"true"),
    ]
)
_ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n", b"\r"])
_good_names = st.sampled_from(
    [b"u", b"v", b"w", b"A", b"a", b"B b", b'"c', b"nan", "É".encode(), "ΑΣ".encode(), "İ".encode()]
)
_good_plays = st.integers(1, 2**31 - 1).map(lambda n: b"%d" % n)


@st.composite
def lines_of(draw: st.DrawFn, schema: Schema, *, good: bool = False, most: int = 12) -> bytes:
    """Return a file's bytes: lines that are good, or nearly so."""
    data = b""
    delimiter = schema.delimiter.encode()
    for _ in range(draw(st.integers(0, most))):
        is_good = good or draw(st.booleans())
        cells = []
        for role in schema.columns:
            if role == PLAYS:
                cells.append(draw(_good_plays if is_good else _plays))
            else:
                is_empty = role == MBID and draw(st.booleans())
                cells.append(b"" if is_empty else draw(_good_names if is_good else _names))
        if not is_good and draw(st.integers(0, 5)) == 0:
            cells = cells[: draw(st.integers(0, len(cells)))] + draw(
                st.sampled_from([[], [b"x"], [b"x"] * 5])
            )
        if good:
            cells = [cell.replace(delimiter, b"_") for cell in cells]
        data += delimiter.join(cells) + (draw(st.sampled_from([b"\n", b"\r\n"])) if good else draw(_ends))
    if draw(st.booleans()):
        data = data[:-1] if not good else data.removesuffix(b"\n").removesuffix(b"\r")
    if not good:
        data = draw(st.sampled_from([b"", b"", b"", BOM, BOM + BOM, b"\n", b"\r\n"])) + data
    return data


@contextmanager
def short_lines(limit: int = MAX_LINE, probe: int = 7) -> Iterator[None]:
    """Let lines be too long at `limit` bytes, so that tests need not write a mebibyte."""
    shift = blocks._TRUNCATED_BYTES - blocks.MAX_LINE_BYTES
    limits = {"MAX_LINE_BYTES": limit, "MAX_REJECT_BYTES": MAX_REJECT}
    with ExitStack() as stack:
        # Every module that has imported a limit holds a name of its own for it.
        for module in list(vars(interactions).values()):
            for name in limits.keys() & vars(module).keys() if isinstance(module, ModuleType) else ():
                stack.enter_context(mock.patch.object(module, name, limits[name]))
        for module, name, value in (
            (reader, "_PIECE_BYTES", probe),
            (fast, "_WINDOW_BYTES", limit // 2),
            (fast, "_UTF8_PIECE_BYTES", (4 * probe, probe)),
            (fast, "_COVERED_SHARE", 1),
            (fast, "_FEW", 1),
            (places, "_CHUNK_BYTES", probe),
            (blocks, "_TRUNCATED_BYTES", limit + shift),
            (blocks, "_PROBE_BYTES", probe),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield

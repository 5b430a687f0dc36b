"""Blocks at their edges: the real limit of a line, sources that shrank, and streams that give little at a time."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.interactions import blocks
from lastfm_dask.interactions.blocks import Block, cut, cut_stream, read_lines
from lastfm_dask.interactions.schema import MAX_LINE_BYTES

MIB = 1 << 20


def reader_of(data: bytes):
    return lambda offset, n_bytes: bytearray(data[offset : offset + n_bytes])


def test_blocks_are_numbered_through_files_and_empty_ones_have_none():
    assert cut([5, 0, 3], 4) == [Block(0, 0, 0, 4), Block(1, 0, 4, 5), Block(2, 2, 0, 3)]
    assert cut([], 4) == cut([0, 0], 4) == []


@pytest.mark.parametrize(
    ("start", "end", "lines"),
    [
        (0, 1, b"ab\n"),
        (0, 3, b"ab\n"),
        (0, 4, b"ab\ncd\n"),
        (1, 3, b""),
        (2, 4, b"cd\n"),
        (3, 4, b"cd\n"),
        (4, 6, b""),
        (6, 8, b"e"),
        (7, 8, b""),
    ],
)
def test_a_line_belongs_to_where_its_first_byte_lies(start, end, lines):
    assert read_lines(reader_of(b"ab\ncd\ne"), start, end) == lines


def test_a_source_that_shrank_gives_what_is_left():
    assert read_lines(reader_of(b"ab\nc"), 0, 100) == b"ab\nc"
    assert read_lines(reader_of(b"ab\nc"), 50, 100) == b""


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("block_bytes", [1000, MIB, 3 * MIB])
def test_the_longest_line_allowed_is_whole_and_a_longer_one_shows(end, block_bytes):
    longest = b"x" * MAX_LINE_BYTES + end
    data = b"a\n" + longest + b"y" * (10 * MIB) + end + b"b\n"
    by_range = [read_lines(reader_of(data), b.start, b.end) for b in cut([len(data)], block_bytes)]
    by_stream = [block.lines for block in cut_stream(io.BytesIO(data), 0, 0, block_bytes)]
    for pieces in (by_range, by_stream):
        found = [line for piece in pieces for line in bytes(piece).splitlines()]
        assert [line[:1] for line in found] == [b"a", b"x", b"y", b"b"]
        assert found[1] == b"x" * MAX_LINE_BYTES
        assert len(found[2]) > MAX_LINE_BYTES
        assert max(map(len, pieces)) <= 2 * block_bytes + MAX_LINE_BYTES + MIB // 8


class Trickle(io.RawIOBase):
    """A stream that gives a byte or two at a time, as pipes may."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, n: int = -1) -> bytes:
        given, self._rest = self._rest[: min(n, 2)], self._rest[min(n, 2) :]
        return given


def test_a_stream_may_give_less_than_asked_for():
    data = b"".join(b"%d\n" % n for n in range(50)) + b"last"
    blocks = list(cut_stream(Trickle(data), 0, 0, 16))
    assert b"".join(block.lines for block in blocks) == data
    assert blocks[0].start == 0
    assert all(before.end == after.start for before, after in itertools.pairwise(blocks))


@given(
    lines=st.lists(st.sampled_from([b"a", b"\n"]), max_size=60).map(b"".join),
    most=st.integers(1, 9),
    window=st.integers(1, 9),
)
def test_a_block_of_many_lines_is_cut_behind_line_ends(lines, most, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_PIECE_BYTES", window)
        pieces = list(blocks.cut_lines(lines, most))
    assert b"".join(pieces) == lines
    assert all(piece.count(b"\n") == most and piece.endswith(b"\n") for piece in pieces[:-1])
    assert pieces[-1].count(b"\n") <= most

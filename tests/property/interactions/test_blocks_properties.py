"""Every line lies in exactly one block, for any cutting; what is too long is cut off, and still shows as too long."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from nasty import MAX_LINE, short_lines

from lastfm_dask.interactions.blocks import cut, cut_stream, read_lines

texts = st.lists(
    st.sampled_from(
        [b"", b"a", b"bc\r", b"\r", b"d" * (MAX_LINE - 1), b"e" * MAX_LINE, b"f" * (MAX_LINE + 1)]
    )
    | st.integers(MAX_LINE, 5 * MAX_LINE).map(lambda n: b"g" * n),
    max_size=8,
).map(b"\n".join)


def reader_of(data: bytes, most: list[int] | None = None):
    def read(offset: int, n_bytes: int) -> bytearray:
        assert offset >= 0
        assert n_bytes > 0
        if most is not None:
            most.append(n_bytes)
        return bytearray(data[offset : offset + n_bytes])

    return read


def shortened(line: bytes) -> bytes:
    """Return a line, or of one that is too long as much as shows that it is, as far as two cuttings must agree."""
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    return text[: MAX_LINE + 1] if len(text) > MAX_LINE else line.removesuffix(b"\n")


def lines_in(data: bytes) -> list[bytes]:
    *whole, last = data.split(b"\n")
    return [shortened(line + b"\n") for line in whole] + ([shortened(last)] if last else [])


@given(sizes=st.lists(st.integers(0, 50), max_size=5), block_bytes=st.integers(1, 60))
def test_ranges_follow_each_other_and_cover_all_files(sizes, block_bytes):
    blocks = cut(sizes, block_bytes)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    covered = [(block.file, at) for block in blocks for at in range(block.start, block.end)]
    assert covered == [(file, at) for file, size in enumerate(sizes) for at in range(size)]
    assert all(0 < block.end - block.start <= block_bytes for block in blocks)


@given(data=texts, block_bytes=st.integers(1, 4 * MAX_LINE), probe=st.integers(1, 2 * MAX_LINE))
def test_every_line_is_in_the_one_block_where_it_starts(data, block_bytes, probe):
    with short_lines(probe=probe):
        pieces = [bytes(read_lines(reader_of(data), b.start, b.end)) for b in cut([len(data)], block_bytes)]
    assert [line for piece in pieces for line in lines_in(piece)] == lines_in(data)
    for piece, block in zip(pieces, cut([len(data)], block_bytes), strict=True):
        n_starts = sum(at == 0 or data[at - 1] == ord("\n") for at in range(block.start, block.end))
        assert len(lines_in(piece)) == n_starts


@given(data=texts, block_bytes=st.integers(1, 4 * MAX_LINE), probe=st.integers(1, 2 * MAX_LINE))
def test_what_is_held_of_a_block_is_bounded(data, block_bytes, probe):
    sizes: list[int] = []
    with short_lines(probe=probe):
        for block in cut([len(data)], block_bytes):
            lines = read_lines(reader_of(data, sizes), block.start, block.end)
            assert len(lines) <= block_bytes + MAX_LINE + 16 + probe
        for block in cut_stream(io.BytesIO(data), 0, 0, block_bytes):
            assert block.lines is not None
            assert len(block.lines) <= block_bytes + MAX_LINE + 16 + probe
    assert max(sizes, default=0) <= block_bytes + 1 + probe


@given(
    data=texts,
    block_bytes=st.integers(1, 4 * MAX_LINE),
    probe=st.integers(1, 2 * MAX_LINE),
    number=st.integers(0, 9),
)
def test_a_stream_is_cut_into_the_same_lines(data, block_bytes, probe, number):
    with short_lines(probe=probe):
        blocks = list(cut_stream(io.BytesIO(data), 3, number, block_bytes))
    assert [line for block in blocks for line in lines_in(block.lines)] == lines_in(data)
    assert [block.number for block in blocks] == list(range(number, number + len(blocks)))
    assert {block.file for block in blocks} <= {3}
    assert all(block.lines for block in blocks)
    # The file's first block is known by where it starts.
    assert [block.number for block in blocks if block.start == 0] == [number][: len(blocks)]

"""Sources cut into blocks: the byte range of each block, and the whole lines that start within it.

Every line belongs to exactly one block: the one that contains its first byte. So blocks can be read in any
order, and their rows together do not depend on where the cuts are. Pure, except for the `read` argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.interactions.schema import MAX_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

MAX_BLOCK_BYTES = 1 << 30
"""Arrow counts a block's bytes in 32 bits."""
ROW_BYTES = 16
"""Bytes that a row of a columnar source adds to a block's size: its decoded codes and plays."""
LONG_LINE_BYTES = 256
LONG_LINE_PIECES = 16
_PROBE_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20
_TRUNCATED_BYTES = MAX_LINE_BYTES + 5
"""How much is kept of a longer line: enough to see that it is too long, even with a byte order mark before it and a
carriage return at its end, neither of which counts."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a source: its number in the source, and either a byte range of a file or the lines themselves.

    Attributes
    ----------
    number : int
        From 0, in source order over all files.
    file : int
        The index of the file in the source.
    start, end : int
        The byte range; lines that start in [start, end) belong to the block. In a columnar file, row numbers.
    lines : bytes-like or None
        The whole lines, if the driver cut them from a stream; the range then refers to the stream.
    """

    number: int
    file: int
    start: int
    end: int
    lines: bytes | bytearray | None = None


def cut(file_bytes: Sequence[int], block_bytes: int) -> list[Block]:
    """Return the blocks of files with these sizes: consecutive ranges of `block_bytes`, the last one shorter."""
    ranges = (
        (file, start, min(start + block_bytes, size))
        for file, size in enumerate(file_bytes)
        for start in range(0, size, block_bytes)
    )
    return [Block(number, *place) for number, place in enumerate(ranges)]


def cut_lines(lines: bytes | bytearray, most: int) -> Iterator[bytes | bytearray]:
    """Cut a block after line ends into pieces of at most `most` lines; a block with fewer lines is returned as it is.

    Blocks of long lines are also cut into a few pieces: nearly all of their bytes are names, which are copied often.
    """
    import numpy as np

    n_lines = lines.count(b"\n")
    if len(lines) > LONG_LINE_BYTES * (n_lines + 1):
        most = min(most, max(1, n_lines // LONG_LINE_PIECES))
    if n_lines <= most:
        yield lines
        return
    begin, room = 0, most
    for start in range(0, len(lines), _PIECE_BYTES):
        ends = np.flatnonzero(np.frombuffer(lines[start : start + _PIECE_BYTES], np.uint8) == ord("\n"))
        while len(ends) >= room:
            stop = start + int(ends[room - 1]) + 1
            yield lines[begin:stop]
            begin, ends, room = stop, ends[room:], most
        room -= len(ends)
    if begin < len(lines):
        yield lines[begin:]


def read_lines(read: Callable[[int, int], bytearray], start: int, end: int) -> bytearray:
    """Return the whole lines that start in [start, end).

    Parameters
    ----------
    read : callable
        `read(offset, n_bytes)` returns that many bytes of the file, fewer only at its end.
    start, end : int
        The range, in bytes.

    Returns
    -------
    bytearray
        Complete lines. A last line that is too long is cut off right after the allowed length, so that it takes
        little memory and is still recognized as too long. Empty if no line starts in the range.
    """
    lead = 1 if start else 0
    n_bytes = end - start + lead
    # One request includes the end of the last line, which is nearly always close: growing a bytearray copies it.
    lines = read(start - lead, n_bytes + _PROBE_BYTES)
    # The byte before shows whether a line starts at `start`.
    first = lines.find(b"\n", 0, n_bytes) + 1 if lead else 0
    if lead and not first:
        return bytearray()
    stop = lines.find(b"\n", n_bytes - 1) + 1
    is_whole = stop or len(lines) < n_bytes + _PROBE_BYTES
    # A bytearray drops its front and its end without a copy.
    del lines[stop or len(lines) :]
    del lines[:first]
    if is_whole or not lines:
        return lines
    last_bytes = len(lines) - (lines.rfind(b"\n") + 1)
    offset = end + _PROBE_BYTES
    while last_bytes <= _TRUNCATED_BYTES:
        piece = read(offset, _PROBE_BYTES)
        stop = piece.find(b"\n") + 1
        lines += piece[: stop or len(piece)]
        if stop or len(piece) < _PROBE_BYTES:
            break
        last_bytes += len(piece)
        offset += len(piece)
    return lines


def cut_stream(stream: BinaryIO, file: int, first_number: int, block_bytes: int) -> Iterator[Block]:
    """Cut a stream that can't be read by offset into blocks of whole lines, of about `block_bytes` each.

    A line that is longer than allowed is cut off right after the allowed length, as in `read_lines`.
    """
    number, start, lines, wanted = first_number, 0, bytearray(), block_bytes
    while True:
        more = _fill(stream, lines, wanted)
        stop = lines.rfind(b"\n") + 1 if more else len(lines)
        if more and not stop:
            if len(lines) <= _TRUNCATED_BYTES:
                wanted = len(lines) + max(block_bytes, _PROBE_BYTES)
                continue
            lines[_TRUNCATED_BYTES:] = b"\n"
            stop = len(lines)
            lines += _skip_line(stream)
        if stop:
            # A bytearray drops its end without a copy, so a block is held once.
            carry = lines[stop:]
            del lines[stop:]
            yield Block(number, file, start, start + stop, lines)
            number, start, lines, wanted = number + 1, start + stop, carry, block_bytes
        if not more:
            return


def _fill(stream: BinaryIO, lines: bytearray, n_bytes: int) -> bool:
    """Read on until there are `n_bytes` bytes; return whether there may be more."""
    while len(lines) < n_bytes:
        piece = stream.read(min(_PIECE_BYTES, n_bytes - len(lines)))
        if not piece:
            return False
        lines += piece
    return True


def _skip_line(stream: BinaryIO) -> bytes:
    """Skip to the line's end; return what was read of the next line."""
    while piece := stream.read(_PROBE_BYTES):
        stop = piece.find(b"\n") + 1
        if stop:
            return piece[stop:]
    return b""

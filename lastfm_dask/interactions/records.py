"""Cut streams into blocks of whole records, if the end of a record can't be recognized from the bytes around it.

One pass over the source, on the driver, finds the ends: records with quoted fields may have several lines, and lines of
UTF-16 end with two bytes. The records of a block depend only on where it starts, so a later reader of the block
finds the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.interactions import decoding
from lastfm_dask.interactions.blocks import Block
from lastfm_dask.interactions.quoted import find_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from lastfm_dask.interactions.schema import Schema

_PIECE_BYTES = 1 << 20


def cut_records(
    stream: BinaryIO, schema: Schema, place: tuple[int, int], block_bytes: int, *, keep: bool
) -> Iterator[Block]:
    """Cut a stream into blocks of whole records, of about `block_bytes` each.

    Parameters
    ----------
    stream : file object
        The whole file, unpacked.
    schema : Schema
        How its records are written.
    place : (int, int)
        The number of the file, and of its first block.
    block_bytes : int
        The size of a block; larger where one record is.
    keep : bool
        Whether blocks carry their bytes; otherwise they are to be read again, by their ranges.
    """
    file, number = place
    lines, start = bytearray(), 0
    end = 0
    for piece, piece_start, piece_end in _whole_records(stream, schema, min(_PIECE_BYTES, block_bytes)):
        has_gap = piece_start != end
        if end > start and (has_gap or end - start >= block_bytes):
            yield Block(number, file, start, end, lines if keep else None)
            number, lines, start = number + 1, bytearray(), piece_start
        elif has_gap:
            start = piece_start
        if keep:
            lines += piece
        end = piece_end
    if end > start:
        yield Block(number, file, start, end, lines if keep else None)


def _whole_records(stream: BinaryIO, schema: Schema, piece_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """Return pieces of whole records with their ranges.

    A line that is longer than allowed ends a piece, cut off right after the allowed length; the next piece starts at the
    next line.
    """
    line_end = decoding.line_end_of(schema.encoding)
    held, start, wanted = bytearray(), 0, piece_bytes
    is_first = True
    while True:
        more = _fill(stream, held, wanted)
        stops = decoding.line_stops(held, line_end)
        last = int(stops[-1]) if len(stops) else 0
        skipped = 0
        if more and len(held) - last > decoding.TRUNCATED_BYTES:
            cut = last + decoding.TRUNCATED_BYTES
            rest, skipped = _behind_line(stream, held[cut:], line_end)
            del held[cut:]
            last = len(held)
        elif not more:
            last = len(held)
        n_bytes = _n_complete(bytes(held[:last]), schema, is_first=is_first, final=not more or skipped > 0)
        if n_bytes:
            is_first = False
            yield bytes(held[:n_bytes]), start, start + n_bytes
            start += n_bytes
            del held[:n_bytes]
        if skipped:
            # What a record that is too long left behind is behind its line's end.
            start, held = start + len(held) + skipped, rest
        if not more:
            return
        wanted = piece_bytes if n_bytes else len(held) + piece_bytes


def _n_complete(data: bytes, schema: Schema, *, is_first: bool, final: bool) -> int:
    """Return how many bytes of whole lines the complete records at their start have."""
    if not schema.quote:
        return len(data)
    text = decoding.decode(data, schema.encoding)
    mark = len("\ufeff".encode()) if is_first and text.startswith("\ufeff".encode()) else 0
    records = find_records(text[mark:], schema, final=final)
    n_text = int(records.stops[-1]) + mark if len(records.stops) else 0
    if n_text in (0, len(text)):
        return len(data) if n_text else 0
    stops = decoding.line_stops(data, decoding.line_end_of(schema.encoding))
    return int(stops[text.count(b"\n", 0, n_text) - 1])


def _fill(stream: BinaryIO, held: bytearray, n_bytes: int) -> bool:
    """Read on until there are `n_bytes` bytes; return whether there may be more."""
    while len(held) < n_bytes:
        piece = stream.read(min(_PIECE_BYTES, n_bytes - len(held)))
        if not piece:
            return False
        held += piece
    return True


def _behind_line(stream: BinaryIO, begun: bytearray, line_end: bytes) -> tuple[bytearray, int]:
    """Skip to the line's end; return what was read behind it, and how many bytes were skipped.

    `begun` holds the line's next bytes, from a whole unit of the encoding on.
    """
    skipped, width = 0, len(line_end)
    while True:
        stops = decoding.line_stops(begun, line_end)
        if len(stops):
            stop = int(stops[0])
            return begun[stop:], skipped + stop
        whole = len(begun) // width * width
        skipped += whole
        begun = begun[whole:]
        piece = stream.read(_PIECE_BYTES)
        if not piece:
            return bytearray(), skipped + len(begun)
        begun += piece

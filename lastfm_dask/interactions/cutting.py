"""Cut a source's files into blocks with consecutive numbers: by ranges if possible, otherwise as a stream on the driver."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lastfm_dask.interactions.blocks import Block, cut, cut_stream
from lastfm_dask.interactions.reading import is_cut_by_records
from lastfm_dask.interactions.records import cut_records
from lastfm_dask.sources.files import open_packed, open_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile


def blocks_of(files: Sequence[SourceFile], schema: Schema, block_bytes: int) -> Iterator[Block]:
    """Return the blocks of files, in order.

    Compressed files are unpacked as a stream, and their blocks carry their bytes. The ends of records with quoted fields
    are found in one pass; for a plain file, the task of a block then reads its bytes again.
    """
    if schema.is_columnar:
        from lastfm_dask.interactions.row_groups import cut_columnar

        yield from cut_columnar(files, schema.kind, block_bytes)
        return
    number = 0
    for file, source in enumerate(files):
        for block in _blocks_of(source, file, schema, block_bytes, number):
            number = block.number + 1
            yield block


def _blocks_of(
    source: SourceFile, file: int, schema: Schema, block_bytes: int, number: int
) -> Iterator[Block]:
    packed = bool(source.compression)
    if is_cut_by_records(schema, as_stream=packed):
        with open_stream(source) if packed else open_packed(source.path) as stream:
            yield from cut_records(stream, schema, (file, number), block_bytes, keep=packed)
    elif packed:
        with open_stream(source) as stream:
            yield from cut_stream(stream, file, number, block_bytes)
    else:
        for block in cut([source.size_bytes], block_bytes):
            yield replace(block, number=number + block.number, file=file)

"""Stage scan: read the source once, and encode and spool each of its blocks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.blocks import ROW_BYTES
from lastfm_dask.interactions.cutting import blocks_of
from lastfm_dask.interactions.encoding import EncodeBlock
from lastfm_dask.interactions.reading import is_cut_by_records
from lastfm_dask.sources.files import find, refuse_changed
from lastfm_dask.sources.source_file import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from lastfm_dask.engine import Engine
    from lastfm_dask.ingestion.spool import Spool
    from lastfm_dask.interactions.blocks import Block
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile

BLOCK_BYTES = 16 << 20
"""The size of a block if memory allows."""
SMALL_BLOCK_BYTES = 2 << 20
"""If memory is short, the plan gives up threads before it makes blocks smaller than this."""
MIN_BLOCK_BYTES = 1 << 20


def scan(
    files: Sequence[SourceFile],
    schema: Schema,
    block_bytes: int,
    piece_lines: int,
    engine: Engine,
    spool: Spool,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Encode every block that the spool lacks, and return the number of the source's blocks.

    Parameters
    ----------
    files : sequence of SourceFile
        The source. Compressed files can't be cut by offset: they are unpacked here as a stream, in waves.
    schema : Schema
        What its fields are.
    block_bytes : int
        The size of a block, in bytes.
    piece_lines : int
        Lines of a block that are encoded at once.
    engine : Engine
        Where the blocks are encoded.
    spool : Spool
        Where they are kept.
    progress : callable, optional
        Called with the size of each block that is done, from any thread.

    Raises
    ------
    BadInputError
        If a file can't be read any more, or changed meanwhile.
    """
    paths = tuple(file.path for file in files)
    task = EncodeBlock(seen_anywhere(paths), schema, piece_lines)
    missing = _Missing(spool, schema, progress)
    blocks: Iterable[Block] = missing.of(blocks_of(files, schema, block_bytes))
    if not any(file.compression for file in files) and not is_cut_by_records(schema, as_stream=False):
        blocks = list(blocks)
    unit = "rows" if schema.is_columnar else "bytes"
    engine.for_each(
        # In this process, each piece is written before the next one is encoded; on a cluster they travel together.
        task if engine.on_cluster else task.pieces,
        blocks,
        missing.put,
        key=lambda block: f"{spool.fingerprint}-{block.number}",
        label=lambda block: (
            f"block {block.number} ({unit} {block.start} to {block.end} of {paths[block.file]})"
        ),
    )
    refuse_changed(files)
    return missing.n_blocks


@dataclass(slots=True)
class _Missing:
    """The blocks that a spool lacks: they are drawn from here, and their results are kept and reported."""

    spool: Spool
    schema: Schema
    progress: Callable[[int], None] | None
    n_blocks: int = 0
    """All blocks drawn so far, including those in the spool."""

    def of(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the blocks that the spool lacks."""
        for block in blocks:
            self.n_blocks = block.number + 1
            if block.number not in self.spool:
                yield block
            else:
                self._report(block)

    def put(self, block: Block, pieces: Iterable[pa.RecordBatch]) -> None:
        """Keep a block's result."""
        self.spool.put(block.number, pieces)
        self._report(block)

    def _report(self, block: Block) -> None:
        if self.progress is not None:
            self.progress((block.end - block.start) * (ROW_BYTES if self.schema.is_columnar else 1))


def seen_anywhere(paths: Sequence[str]) -> tuple[str, ...]:
    """Return paths that name the same files for a process that works in another folder."""
    return tuple(path if is_remote(path) else os.path.abspath(path) for path in paths)  # noqa: PTH100 - keeps links


@dataclass(frozen=True, slots=True)
class Sight:
    """Reports the files of a source as this process sees them; can be sent to any process."""

    paths: tuple[str, ...]

    def __call__(self) -> dict[str, str]:
        """Return size and version of each file, in words; raises BadInputError if one can't be read."""
        return {file.path: f"{file.size_bytes} bytes, version {file.version}" for file in find(self.paths)}


def refuse_compressed(files: Sequence[SourceFile]) -> None:
    """Raise BadInputError if a file can't be read by ranges, as workers of a cluster do."""
    frames = [file.label for file in files if file.label]
    if frames:
        msg = f"a {frames[0]} is in this process, where the workers of a cluster can't read it: write it as Parquet first"
        raise BadInputError(msg)
    packed = [file.path for file in files if file.compression]
    if packed:
        msg = (
            f"{', '.join(packed)}: a compressed source can't be cut by offset for the workers of a cluster:"
            " unpack it first, or ingest it without a scheduler"
        )
        raise BadInputError(msg, path=packed[0])

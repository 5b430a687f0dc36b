"""The stages of ingest after one another, without plan, engine or command line: blocks in any order, any sizes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from lastfm_dask.dataset import layout
from lastfm_dask.ingestion.assemble import Assembled, assemble
from lastfm_dask.ingestion.index import Index, index
from lastfm_dask.ingestion.rejects import RejectsWriter
from lastfm_dask.ingestion.spool import Spool
from lastfm_dask.ingestion.summarize import write_tables
from lastfm_dask.interactions.blocks import Block, cut
from lastfm_dask.interactions.encoding import EncodeBlock
from lastfm_dask.interactions.row_groups import cut_columnar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile

SAME_BYTES = (layout.USERS, layout.ARTISTS, *layout.USER_ITEMS, layout.SUMMED, layout.REJECTS)


@dataclass
class Work:
    """How the work is cut; the result must not depend on it."""

    block_bytes: int = 1 << 20
    seed: int | None = None
    """Of the order in which blocks are finished; None for file order."""
    batch_names: int = 1 << 20
    chunk_rows: int = 1 << 20
    threads: int = 1
    piece_lines: int = 1 << 18


@dataclass
class Built:
    """What the stages left."""

    output: Path
    found: Index
    assembled: Assembled | None

    def bytes(self) -> dict[str, bytes]:
        listens = [name for name in layout.LISTENS if (self.output / name).exists()]
        return {name: (self.output / name).read_bytes() for name in (*SAME_BYTES, *listens)}

    def table(self, name: str) -> dict[str, list[Any]]:
        return pq.read_table(self.output / name).to_pydict()

    def csr(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        indptr, indices, data = (np.load(self.output / name) for name in layout.USER_ITEMS)
        return indptr, indices, data


def names_of(n_files: int) -> list[str]:
    return [f"{number}.tsv" for number in range(n_files)]


def indexed(folder: Path, files: Sequence[bytes], schema: Schema, work: Work) -> tuple[Index, Spool, Path]:
    """Write files, encode their blocks in any order, and give ids."""
    paths = []
    for name, data in zip(names_of(len(files)), files, strict=True):
        (folder / name).write_bytes(data)
        paths.append(str(folder / name))
    blocks = cut(list(map(len, files)), work.block_bytes)
    return _indexed(folder, paths, blocks, schema, work)


def _indexed(
    folder: Path, paths: list[str], blocks: list[Block], schema: Schema, work: Work
) -> tuple[Index, Spool, Path]:
    task = EncodeBlock(tuple(paths), schema, work.piece_lines)
    for name in ("spool", "maps", "output"):
        (folder / name).mkdir()
    spool = Spool(folder / "spool", {"block_bytes": work.block_bytes})
    order = list(blocks)
    if work.seed is not None:
        random.Random(work.seed).shuffle(order)
    for block in order:
        spool.put(block.number, task.pieces(block))
    shown = names_of(len(paths)) if not schema.is_columnar else paths
    with RejectsWriter(folder / "output" / layout.REJECTS, shown) as rejects:
        found = index(
            spool,
            len(blocks),
            folder / "maps",
            rejects,
            batch_names=work.batch_names,
            schema=schema,
        )
    return found, spool, folder / "output"


def build(folder: Path, files: Sequence[bytes], schema: Schema, work: Work) -> Built:
    """Run all stages that write files; the last two only where a row was kept."""
    return _built(*indexed(folder, files, schema, work), work)


def build_columnar(folder: Path, files: Sequence[SourceFile], schema: Schema, work: Work) -> Built:
    """Run all stages over columnar files (see `build`)."""
    blocks = cut_columnar(files, schema.kind, work.block_bytes)
    return _built(*_indexed(folder, [file.path for file in files], blocks, schema, work), work)


def _built(found: Index, spool: Spool, output: Path, work: Work) -> Built:
    assembled = None
    if found.rows_kept:
        assembled = assemble(found, spool, output, chunk_rows=work.chunk_rows, threads=work.threads)
        write_tables(found, assembled, output)
    return Built(output, found, assembled)

"""Stage index: global ids in order of first appearance, counts by name, and the rows that were rejected.

Walks the spool in file order, whatever order its blocks came in. One array a block, kept beside the spool, maps local
codes to global ids. The rows themselves are not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lastfm_dask.ingestion.mbids import Mbids
from lastfm_dask.ingestion.names import Names, NamesHeld, kept_on_disk
from lastfm_dask.interactions.encoding import column, real_plays, row_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.ingestion.rejects import RejectsWriter
    from lastfm_dask.ingestion.spool import Blocks
    from lastfm_dask.interactions.schema import Schema


class MergeGuard(Protocol):
    """Checks before each merge of names that it fits."""

    def fits(self, users: NamesHeld, artists: NamesHeld, *, alone: bool) -> bool:
        """Whether a batch may be merged as a whole; raises BudgetError if it is a single piece and may not."""

    def merged(self, users: NamesHeld, artists: NamesHeld) -> None:
        """Record a merge once its distinct names are known."""


BATCH_NAMES = 1 << 21
"""How many names of blocks are merged at once if memory allows."""
MIN_BATCH_NAMES = 1 << 17
BATCH_NAME_BYTES = 40
"""Bytes a name of a batch; if names are longer, a batch has fewer."""


@dataclass(slots=True)
class Index:
    """Result of the index stage: names, counts, and the maps from local to global ids."""

    folder: Path
    """Holds the global ids of the blocks' users and artists (`maps`), and the names."""
    users: Names
    artists: Names
    mbids: Mbids | None = None
    n_blocks: int = 0
    added: pa.RecordBatch | None = None
    """Rows that follow the source's, encoded like one of its blocks."""
    rows_read: int = 0
    rows_kept: int = 0
    """Of the source, without added rows."""
    played_once: int = 0
    is_real: bool = False
    """Whether plays are real values."""
    events: bool = False
    """Whether a row is one listen."""
    with_time: bool = False
    """Whether rows have times."""
    rejects: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Doubts about the source, for people."""
    n_lines: dict[int, int] = field(default_factory=dict)
    """Lines by file, including a header."""

    def blocks(
        self, spool: Blocks
    ) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
        """Return each encoded piece of a block with its users' and its artists' global ids, in file order."""
        import numpy as np

        with self.maps("user").open("rb") as users, self.maps("artist").open("rb") as artists:
            for number in range(self.n_blocks + (self.added is not None)):
                for batch in [self.added] if number == self.n_blocks else spool.get(number):
                    n_users, n_artists = len(column(batch, "users")), len(column(batch, "artists"))
                    ids = np.fromfile(users, np.int32, n_users), np.fromfile(artists, np.int32, n_artists)
                    yield batch, *ids

    def maps(self, role: str) -> Path:
        """Return the file that holds the global ids of a role's names, block after block, as int32."""
        return self.folder / f"{role}.maps"


def index(
    spool: Blocks,
    n_blocks: int,
    folder: Path,
    rejects: RejectsWriter,
    *,
    batch_names: int,
    schema: Schema,
    guard: MergeGuard | None = None,
    progress: Callable[[int], None] | None = None,
) -> Index:
    """Assign ids to the names of all encoded blocks, and count them.

    Parameters
    ----------
    spool : Spool
        Holds blocks 0 to n_blocks - 1.
    n_blocks : int
        How many blocks the source has.
    folder : Path
        An empty folder for the maps, and for the names.
    rejects : RejectsWriter
        Gets the rejected rows, in file order.
    batch_names : int
        How many names of blocks are merged at once: more is faster and takes more memory.
    schema : Schema
        What the blocks hold.
    guard : MergeGuard, optional
        Decides before each merge whether it fits.
    progress : callable, optional
        Called with the number of blocks done since the last call.
    """
    users, artists, mbids = (
        Names(kept_on_disk(folder, role), is_real=schema.is_real) for role in ("user", "artist", "mbid")
    )
    result = Index(
        folder,
        users,
        artists,
        Mbids(mbids) if schema.with_mbid else None,
        n_blocks,
        is_real=schema.is_real,
        events=schema.events,
        with_time=schema.with_time,
    )
    for batches, n_done in _batches(spool, n_blocks, batch_names):
        _merge_within(result, batches, guard)
        for batch in batches:
            _count_rows(result, batch, rejects)
        if progress is not None:
            progress(n_done)
    result.rejects = dict(rejects.counts)
    return result


_MOST_PIECES = 64
"""Each piece takes some 46 KiB of Arrow's and Python's objects and one memory map, however few names it has."""


def _batches(spool: Blocks, n_blocks: int, batch_names: int) -> Iterator[tuple[list[pa.RecordBatch], int]]:
    """Return consecutive pieces whose names together are about `batch_names`, and how many blocks end with them."""
    batches: list[pa.RecordBatch] = []
    n_names = n_bytes = n_done = 0
    for number in range(n_blocks):
        for batch in spool.get(number):
            batches.append(batch)
            for role in ("users", "artists"):
                names = column(batch, role)
                n_names += len(names)
                n_bytes += names.nbytes
            is_full = len(batches) >= _MOST_PIECES or n_names >= batch_names
            if is_full or n_bytes >= BATCH_NAME_BYTES * batch_names:
                yield batches, n_done
                batches, n_names, n_bytes, n_done = [], 0, 0, 0
        n_done += 1
    yield batches, n_done


def _merge_within(result: Index, batches: list[pa.RecordBatch], guard: MergeGuard | None) -> None:
    """Merge a batch, in halves if the whole would hold too much."""
    users, artists = (
        names.held_with([column(batch, f"{role}s") for batch in batches])
        for role, names in (("user", result.users), ("artist", result.artists))
    )
    if guard is None or guard.fits(users, artists, alone=len(batches) <= 1):
        _merge(result, batches)
        if guard is not None:
            guard.merged(result.users.merged, result.artists.merged)
        return
    half = len(batches) // 2
    _merge_within(result, batches[:half], guard)
    _merge_within(result, batches[half:], guard)


def _merge(result: Index, batches: list[pa.RecordBatch]) -> None:
    """Assign ids to the names of blocks, count them, and keep the maps."""
    for role, names in (("user", result.users), ("artist", result.artists)):
        ids = names.merge([column(batch, f"{role}s") for batch in batches])
        with result.maps(role).open("ab") as file:
            for batch, of_block in zip(batches, ids, strict=True):
                names.count_rows(of_block, column(batch, f"{role}_rows"))
                if result.is_real:
                    # Row by row: a sum of floats depends on its order, which must not depend on where blocks were cut.
                    names.count_plays(of_block[row_codes(batch, role)], real_plays(batch))
                else:
                    names.count_plays(of_block, column(batch, f"{role}_plays"))
                of_block.tofile(file)
    if result.mbids is not None:
        result.mbids.add(batches, ids)


def _count_rows(result: Index, batch: pa.RecordBatch, rejects: RejectsWriter) -> None:
    file, n_lines, played_once = column(batch, "counts").tolist()
    lines_before = result.n_lines.get(file, 0)
    rejects.write(file, lines_before, batch)
    result.n_lines[file] = lines_before + n_lines
    n_kept = len(column(batch, "plays"))
    result.rows_kept += n_kept
    result.rows_read += n_kept + len(column(batch, "reject_lines"))
    result.played_once += played_once


def add_rows(result: Index, batch: pa.RecordBatch) -> None:
    """Append rows from outside the source, encoded like one of its blocks."""
    _merge(result, [batch])
    result.added = batch
    result.played_once += int(column(batch, "counts")[2])

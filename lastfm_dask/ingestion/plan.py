"""Projected bytes of ingest's stages, and the settings that keep to what is allowed. Pure: integers in, integers out.

A projection is what a stage's data takes at most in anonymous memory; `memory.budget` adds what is reserved. The
spool, the maps and the matrix are maps of files, whose pages the kernel takes back at will: they count only where the
disk itself lives in memory. The factors below were measured; tests hold measured <= projected on real runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import tables
from lastfm_dask.engine import run as cluster_run
from lastfm_dask.engine.embedded import graph_bytes
from lastfm_dask.errors import BadInputError
from lastfm_dask.ingestion import assemble, index, scan
from lastfm_dask.interactions import encoding
from lastfm_dask.interactions.blocks import MAX_BLOCK_BYTES
from lastfm_dask.memory.budget import Budget, Plan, fit
from lastfm_dask.memory.sizes import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SMALL_BYTES = 6 * MIB
"""Python's objects, thread stacks and buffers, whatever the size of the data."""
_WARM_BYTES = 6 * MIB
"""What libraries keep once a scan has used them."""
_ROOMY_PERCENT = 75
"""A scan that leaves less than a quarter to the pages of files waits for the kernel to find some: smaller blocks are
faster then."""
_TASK_BLOCK_SHARE = 6
_TASK_ROW_BYTES = 30
_TASK_MBID_BYTES = 48
_TASK_TIME_BYTES = 24
_CHUNK_ROW_BYTES, _CHUNK_TIME_BYTES = 45, 32
_CLIENT_BYTES = 24 * MIB
"""Dask's `distributed`, and what it holds of a run, from the scan on."""
_TABLE_ROW_BYTES = 300
"""What writing Parquet holds by row of the piece that is written: encoded, compressed, and buffered."""
_HALVINGS = 4
"""How often the batches of index and the chunks of assemble are halved."""


@dataclass(frozen=True, slots=True)
class SourceShape:
    """The numbers of a source that decide what ingest needs; estimated from a sample before the work.

    Attributes
    ----------
    source_bytes : int
        Unpacked.
    n_rows, n_users, n_artists : int
        Rows, and distinct names.
    user_bytes, artist_bytes : int
        Bytes of a name, on average.
    with_mbid, with_time : bool
        Whether MBIDs and times are read.
    utf8_percent : int
        What 100 bytes of the source take as UTF-8, at least 100.
    """

    source_bytes: int
    n_rows: int
    n_users: int
    n_artists: int
    user_bytes: int = 40
    artist_bytes: int = 16
    with_mbid: bool = False
    with_time: bool = False
    utf8_percent: int = 100

    @property
    def row_bytes(self) -> int:
        """Bytes of a line, on average; one at least."""
        return max(1, self.source_bytes // max(1, self.n_rows))


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """How large the pieces are that ingest works on, and how many at once."""

    threads: int
    block_bytes: int
    batch_names: int = index.BATCH_NAMES
    """Names of encoded blocks that are merged at once."""
    chunk_rows: int = assemble.CHUNK_ROWS
    """Rows that a thread sorts at once."""
    piece_lines: int = encoding.PIECE_LINES
    """Lines of a block that are encoded at once."""


@dataclass(frozen=True, slots=True)
class IngestPlan(Plan[IngestSettings]):
    """What ingest will hold, by stage, of this source."""

    source: SourceShape
    allocator: str = "system"
    """Arrow's pool in the stages: the C library's, where that is glibc."""

    @property
    def window(self) -> int:
        """Blocks that are under way at once."""
        return self.settings.threads

    def lines(self) -> list[str]:
        """Return the plan as a person reads it, in four lines."""
        source, budget, settings = self.source, self.budget, self.settings
        stages = ", ".join(f"{stage} {format_size(n)}" for stage, n in self.stages.items())
        found = f"{source.n_rows:,} rows, {source.n_users:,} users, {source.n_artists:,} artists"
        size = f"blocks of {format_size(settings.block_bytes)}"
        return [
            f"source    {format_size(source.source_bytes)}: about {found} (estimated from a sample)",
            f"allowed   {format_size(budget.allowed)} of memory ({budget.source})",
            f"plan      {size}, {settings.threads} threads, window {self.window}, allocator {self.allocator}",
            f"projected {stages}; disk {format_size(self.disk_bytes)}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        source = self.source
        return {
            # Named, since `super()` finds nothing in a dataclass with slots.
            **Plan.to_dict(self),
            "window": self.window,
            "allocator": self.allocator,
            "source": {
                "source_bytes": source.source_bytes,
                "rows": source.n_rows,
                "users": source.n_users,
                "artists": source.n_artists,
            },
        }


def _hash_bytes(n: int) -> int:
    """Return the bytes of Arrow's hash table for `n` names: 16 a slot, a power of two, at most half full."""
    return 16 * (1 << max(5, (2 * max(n, 1) - 1).bit_length()))


def _held_bytes(source: SourceShape) -> int:
    """Return what the stages after scan hold throughout: two counters of 8 bytes for each name."""
    mbids = 120 * source.n_artists if source.with_mbid else 0
    return 16 * (source.n_users + source.n_artists) + mbids


def n_blocks(source: SourceShape, block_bytes: int) -> int:
    """Return how many blocks a source has."""
    return max(1, -(-source.source_bytes // block_bytes))


def block_names(source: SourceShape, block_bytes: int) -> tuple[int, int]:
    """Return how many distinct users and artists a block has, at most.

    Users come in runs; distinct artists grow with about the root of the rows. Twice that, and never above the rows.
    """
    blocks = n_blocks(source, block_bytes)
    n_rows = -(-source.n_rows // blocks)
    n_users = min(n_rows, source.n_users, 2 * -(-source.n_users // blocks))
    return n_users, min(n_rows, source.n_artists, int(2 * source.n_artists / blocks**0.5) + 1)


def _table_bytes(source: SourceShape) -> int:
    return _TABLE_ROW_BYTES * min(tables.TABLE_ROWS, max(source.n_users, source.n_artists))


def task_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of encoding one block, wherever that runs."""
    n_rows = -(-settings.block_bytes // source.row_bytes)
    # The block, its columns as Arrow reads and then copies them, and what either path keeps by line.
    row_bytes = _TASK_ROW_BYTES + (_TASK_MBID_BYTES if source.with_mbid else 0)
    row_bytes += _TASK_TIME_BYTES if source.with_time else 0
    return _TASK_BLOCK_SHARE * settings.block_bytes * source.utf8_percent // 100 + row_bytes * n_rows


def scan_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `scan`: every thread encodes one block, and all may peak at one moment."""
    blocks = n_blocks(source, settings.block_bytes)
    block = replace(settings, block_bytes=min(settings.block_bytes, max(1, source.source_bytes)))
    return _SMALL_BYTES + graph_bytes(blocks) + min(settings.threads, blocks) * task_bytes(source, block)


def driver_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `scan` where workers encode: a few results on their way, beside Dask's client."""
    n_users, n_artists = block_names(source, settings.block_bytes)
    n_rows = min(source.n_rows, -(-settings.block_bytes // source.row_bytes))
    encoded = 8 * n_rows + n_users * (source.user_bytes + 20) + n_artists * (source.artist_bytes + 20)
    return _SMALL_BYTES + (cluster_run.GATHERS + 1) * encoded


def index_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `index`: one role's names in a hash table, and one batch of blocks' names."""
    n_users, n_artists = source.n_users, source.n_artists
    # A hash table that doubles stands beside the one that it grew from.
    hashes = max(
        n_users * (source.user_bytes + 4) + 3 * _hash_bytes(n_users) // 2,
        n_artists * (source.artist_bytes + 4) + 3 * _hash_bytes(n_artists) // 2,
    )
    grown = 16 * max(n_users, n_artists)
    blocks = n_blocks(source, settings.block_bytes)
    n_names = min(settings.batch_names, blocks * sum(block_names(source, settings.block_bytes)))
    batch = 14 * n_names + min(n_names, n_artists) * (source.artist_bytes + 28)
    return _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + hashes + grown + batch


def assemble_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `assemble`: row bounds, and a thread's block being placed or chunk of rows."""
    n_block_rows = min(source.n_rows, -(-settings.block_bytes // source.row_bytes))
    by_user = 48 * source.n_users
    row_bytes = _CHUNK_ROW_BYTES + (_CHUNK_TIME_BYTES if source.with_time else 0)
    chunks = row_bytes * min(settings.chunk_rows * settings.threads, source.n_rows)
    return (
        _SMALL_BYTES
        + _WARM_BYTES
        + _held_bytes(source)
        + by_user
        + max(chunks, 24 * settings.threads * n_block_rows)
    )


def summarize_bytes(source: SourceShape, settings: IngestSettings) -> int:  # noqa: ARG001
    """Return the projected bytes of `summarize`: the names, the medians, sorted copies, and Parquet's buffers."""
    return _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + 48 * source.n_users + _table_bytes(source)


def publish_bytes(source: SourceShape, settings: IngestSettings) -> int:  # noqa: ARG001
    """Return the projected bytes of `publish`: checksums are read through small buffers."""
    return _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + 16 * source.n_users


STAGES: dict[str, Callable[[SourceShape, IngestSettings], int]] = {
    "scan": scan_bytes,
    "index": index_bytes,
    "assemble": assemble_bytes,
    "summarize": summarize_bytes,
    "publish": publish_bytes,
}


def disk_bytes(source: SourceShape, block_bytes: int) -> int:
    """Return the bytes on disk: encoded rows and names, maps, the matrix, and the tables."""
    n_block_users, n_block_artists = block_names(source, block_bytes)
    block = n_block_users * (20 + source.user_bytes) + n_block_artists * (20 + source.artist_bytes) + 8192
    mbids = 80 * n_block_artists if source.with_mbid else 0
    # What is encoded, and the matrix; of times the encoded ones, and the first and the last.
    row_bytes = 8 + 8 + (3 * 8 if source.with_time else 0)
    # The names stand there twice: in the tables, and while they are gathered.
    tables = 2 * (source.n_users * (source.user_bytes + 24) + source.n_artists * (source.artist_bytes + 24))
    return n_blocks(source, block_bytes) * (block + mbids) + row_bytes * source.n_rows + tables


def _settings(threads: int, block_bytes: int | None) -> Iterator[list[tuple[int, int]]]:
    """Return threads and block sizes from the fastest to what needs least, in groups of equal threads.

    Blocks of an eighth cost a fifth more time, half of the threads twice the time.
    """
    if block_bytes is not None:
        yield from ([(count, block_bytes)] for count in range(threads, 0, -1))
        return
    sizes, size = [], scan.BLOCK_BYTES
    while size >= scan.SMALL_BLOCK_BYTES:
        sizes.append(size)
        size //= 2
    yield [(threads, size) for size in sizes]
    yield from ([(count, scan.SMALL_BLOCK_BYTES)] for count in range(threads - 1, 0, -1))
    yield [(1, scan.MIN_BLOCK_BYTES)]


def _shrunk(settings: IngestSettings) -> Iterator[IngestSettings]:
    """Return settings with smaller and smaller batches of index and chunks of assemble."""
    for halvings in range(_HALVINGS + 1):
        yield replace(
            settings,
            batch_names=max(index.MIN_BATCH_NAMES, settings.batch_names >> halvings),
            chunk_rows=max(assemble.MIN_CHUNK_ROWS, settings.chunk_rows >> halvings),
        )


def project(source: SourceShape, settings: IngestSettings, *, on_cluster: bool = False) -> IngestPlan:
    """Return what ingest holds with these settings.

    Parameters
    ----------
    source : SourceShape
        What is read.
    settings : IngestSettings
        How.
    on_cluster : bool
        Whether blocks are encoded elsewhere, and only their results come here.
    """
    stages = STAGES | {"scan": driver_bytes} if on_cluster else STAGES
    client = _CLIENT_BYTES if on_cluster else 0
    return IngestPlan(
        {name: client + stage(source, settings) for name, stage in stages.items()},
        disk_bytes(source, settings.block_bytes),
        settings,
        source,
    )


def plan_ingest(
    source: SourceShape, budget: Budget, *, block_bytes: int | None = None, on_cluster: bool = False
) -> IngestPlan:
    """Return the fastest plan that keeps to the budget.

    Parameters
    ----------
    source : SourceShape
        What is read.
    budget : Budget
        What there is.
    block_bytes : int, optional
        What the caller asked for; never changed.
    on_cluster : bool
        Whether blocks are encoded on a cluster.

    Raises
    ------
    BudgetError
        Where even the smallest settings need more memory or disk.
    BadInputError
        Where `block_bytes` is more than a block may have.
    """
    if block_bytes is not None and block_bytes > MAX_BLOCK_BYTES:
        msg = f"blocks of {block_bytes} bytes: at most {MAX_BLOCK_BYTES} ({format_size(MAX_BLOCK_BYTES)}) are allowed"
        raise BadInputError(msg)

    def candidates() -> Iterator[IngestPlan]:
        roomy_bytes = budget.allowed * _ROOMY_PERCENT // 100 - budget.reserved
        for group in _settings(budget.cpus, block_bytes):
            plans = [
                project(source, settings, on_cluster=on_cluster)
                for pair in group
                for settings in _shrunk(IngestSettings(*pair))
            ]
            # Of equal threads those that leave room come first; the sort is stable.
            yield from sorted(plans, key=lambda plan: plan.stages["scan"] > roomy_bytes)

    return fit(candidates(), budget, work="ingest", elsewhere="choose an output elsewhere")

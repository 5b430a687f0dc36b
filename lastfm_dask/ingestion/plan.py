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
from lastfm_dask.ingestion import assemble, index, long_rows, scan
from lastfm_dask.ingestion.names import NamesHeld, hash_table_bytes, merge_bytes
from lastfm_dask.ingestion.source_shape import SourceShape, block_names, n_blocks, names_bytes
from lastfm_dask.interactions import encoding
from lastfm_dask.interactions.blocks import MAX_BLOCK_BYTES
from lastfm_dask.interactions.schema import MAX_LINE_BYTES
from lastfm_dask.memory.budget import Budget, Plan, fit
from lastfm_dask.memory.sizes import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SMALL_BYTES = 6 * MIB
"""Python's objects, thread stacks and buffers, whatever the size of the data."""
_WARM_BYTES = 6 * MIB
"""What libraries keep after a scan has used them."""
_ROOMY_PERCENT = 75
"""A scan that leaves less than a quarter of the memory to file pages waits for the kernel to free some: then smaller
blocks are faster."""
_TASK_BLOCK_PERCENT = 260
"""By byte of a block: the block, its columns as Arrow reads and then copies them, and the encoded block."""
_TASK_LINE_BYTES = 180
"""By line of a piece: positions, codes, counts, plays, or a kept reject."""
_COLUMNAR_LINE_BYTES = 230
"""The same for four rows of Parquet, measured over a billion rows: memory kept between blocks grows at first."""
_TASK_NAME_BYTES = 260
"""By distinct name of a piece: hash tables, offsets, counts, and the name in lower case."""
_TASK_MBID_BYTES = 220
_TASK_TIME_BYTES = 136
_NAME_TIMES = 6
"""Copies of a columnar source's names: decoded, joined, in lower case, encoded. A block of text includes its names."""
_DECODED_PERCENT = 300
_RECORDS_BYTES = 4 * MIB
"""By block: a text in another encoding beside its UTF-8 form. By piece: the marks of quoted text."""
_CLIENT_BYTES = 24 * MIB
"""Dask's `distributed`, and what it holds of a run, from the scan on."""
_TABLE_ROW_BYTES = 150
"""What writing Parquet holds by row of the piece that is written: encoded, compressed, and buffered."""
_TABLE_NAMES_SHARE = 6
_PLACED_ROW_BYTES = 48
"""By row of a piece that is placed: user, place, order, and column."""
_SORTED_ROW_BYTES = 80
"""By row of a chunk that is sorted: keys, values, those of distinct pairs, and of rows that are summed."""
_SORTED_TIME_BYTES = 32
_MBID_BYTES = 36
_PAIR_BYTES = 64
_SPARE_SHARE = 20
"""A twentieth more names than estimated is planned for."""
_HALVINGS = 4
"""How often the batches of index and the chunks of assemble are halved."""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """The sizes of the pieces that ingest works on, and how many it works on at once."""

    threads: int
    block_bytes: int
    batch_names: int = index.BATCH_NAMES
    """Names of encoded blocks that are merged at once."""
    chunk_rows: int = assemble.CHUNK_ROWS
    """Rows that a thread sorts at once."""
    piece_lines: int = encoding.PIECE_LINES
    """Lines of a block that are encoded at once."""


@dataclass(frozen=True, slots=True, repr=False)
class IngestPlan(Plan[IngestSettings]):
    """What ingest of this source will hold, by stage."""

    source: SourceShape
    allocator: str = "system"
    """Arrow's pool in the stages: the C library's, where that is glibc."""

    @property
    def window(self) -> int:
        """Blocks that are under way at once."""
        return self.settings.threads

    def facts(self) -> list[tuple[str, str]]:
        """Return what is read, what the plan keeps to, and how: names and texts."""
        source, settings = self.source, self.settings
        found = f"about {source.n_rows:,} rows, {source.n_users:,} users, {source.n_artists:,} artists"
        pieces = f"blocks of {format_size(settings.block_bytes)}, {settings.threads} threads"
        facts = dict(Plan.facts(self)) | {"settings": pieces}
        return [("source", f"{format_size(source.source_bytes)}, {found}"), *facts.items()]

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


def _held_bytes(source: SourceShape) -> int:
    """Return the bytes that the stages after scan hold throughout: two counters of 8 bytes for each name."""
    return (
        source.held_bytes
        + 16 * (source.n_users + source.n_artists)
        + (72 * source.n_mbids if source.with_mbid else 0)
    )


def mbid_bytes(source: SourceShape) -> int:
    """Return what counting MBIDs takes: their names, and each pair of artist and MBID, sorted."""
    if not source.with_mbid:
        return 0
    n = source.n_mbids
    return hash_table_bytes(n) + 2 * _MBID_BYTES * n + _PAIR_BYTES * n


def _table_bytes(source: SourceShape) -> int:
    """Return what a piece of a table takes while it is written: names as they are, encoded and compressed."""
    n_rows = min(tables.TABLE_ROWS, max(source.n_users, source.n_artists))
    names = min(tables.TABLE_BYTES + MAX_LINE_BYTES, n_rows * max(source.user_bytes, source.artist_bytes))
    mbids = _PAIR_BYTES * source.n_mbids if source.with_mbid else 0
    return _TABLE_ROW_BYTES * n_rows + _TABLE_NAMES_SHARE * names + mbids


def piece_lines(source: SourceShape, settings: IngestSettings) -> int:
    """Return how many lines are encoded at once."""
    n_lines = -(-min(settings.block_bytes, source.source_bytes) // source.row_bytes)
    return max(1, min(settings.piece_lines, n_lines))


def piece_rows(source: SourceShape, settings: IngestSettings) -> int:
    """Return how many rows are encoded at once: of a columnar source they take less than lines of text."""
    if not source.columnar:
        return piece_lines(source, settings)
    n_rows = -(-min(settings.block_bytes, source.source_bytes) // source.row_bytes)
    return max(1, min(encoding.ROWS_A_LINE * settings.piece_lines, n_rows))


def task_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of encoding one block, wherever that runs: the block, and its largest piece."""
    users, artists = (min(piece_rows(source, settings), n) for n in block_names(source, settings.block_bytes))
    by_line = _COLUMNAR_LINE_BYTES if source.columnar else _TASK_LINE_BYTES
    by_line += _TASK_MBID_BYTES * source.with_mbid + _TASK_TIME_BYTES * source.with_time
    percent = _TASK_BLOCK_PERCENT
    if source.utf8_percent:
        percent = percent * max(100, source.utf8_percent) // 100 + _DECODED_PERCENT
    held_bytes = source.unseen_bytes + names_bytes(source, users, artists) if source.columnar else 0
    by_name = _TASK_NAME_BYTES * (users + artists) + _NAME_TIMES * held_bytes
    block_bytes = percent * settings.block_bytes // 100 + (_RECORDS_BYTES if source.by_records else 0)
    return block_bytes + by_line * piece_lines(source, settings) + by_name


def scan_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `scan`: every thread encodes one block, and all may peak at one moment."""
    blocks = n_blocks(source, settings.block_bytes)
    block = replace(settings, block_bytes=min(settings.block_bytes, max(1, source.source_bytes)))
    tasks_bytes = min(settings.threads, blocks) * task_bytes(source, block)
    # Beside the tasks the driver looks for the ends of records.
    return _SMALL_BYTES + graph_bytes(blocks) + tasks_bytes + (_RECORDS_BYTES if source.by_records else 0)


def driver_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `scan` where workers encode: a few results on their way, beside Dask's client."""
    n_users, n_artists = block_names(source, settings.block_bytes)
    n_rows = min(source.n_rows, -(-settings.block_bytes // source.row_bytes))
    encoded = 8 * n_rows + n_users * (source.user_bytes + 20) + n_artists * (source.artist_bytes + 20)
    return _SMALL_BYTES + (cluster_run.GATHERS + 1) * encoded


def merging_bytes(users: NamesHeld, artists: NamesHeld) -> int:
    """Return the bytes of `index` while a batch is merged: one role after the other, beside both roles' counters."""
    held = 16 * (users.n + artists.n)
    return _SMALL_BYTES + _WARM_BYTES + held + max(merge_bytes(users), merge_bytes(artists))


def index_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `index`, when the last batch is merged."""
    blocks = n_blocks(source, settings.block_bytes)
    listed = [blocks * n for n in block_names(source, settings.block_bytes)]
    roles = []
    for in_all, n, n_bytes in zip(
        listed,
        (source.n_users, source.n_artists),
        (source.user_bytes, source.artist_bytes),
        strict=True,
    ):
        # Hash tables double: slightly more names than estimated must not take twice the memory.
        n += -(-n // _SPARE_SHARE)
        # A batch ends with the piece that fills it.
        batch = min(in_all, settings.batch_names + _names_of_piece(source, settings))
        distinct = min(batch, n)
        roles.append(NamesHeld(n, n * n_bytes, batch, distinct, distinct * n_bytes))
    return merging_bytes(*roles) + mbid_bytes(source) + source.held_bytes


def _names_of_piece(source: SourceShape, settings: IngestSettings) -> int:
    """Return how many names of a role a piece has at most."""
    return min(piece_rows(source, settings), max(block_names(source, settings.block_bytes)))


def assemble_bytes(source: SourceShape, settings: IngestSettings) -> int:
    """Return the projected bytes of `assemble`: row bounds, and a thread's piece being placed or chunk of rows."""
    placed = _PLACED_ROW_BYTES * settings.threads * piece_rows(source, settings)
    sorted_rows = assemble.longest_sorted(settings.chunk_rows, source.n_artists)
    if source.with_time or source.is_real:
        # Only sums of whole plays do without sorting.
        sorted_rows = max(sorted_rows, source.longest)
    row_bytes = _SORTED_ROW_BYTES + (_SORTED_TIME_BYTES if source.with_time else 0)
    chunks = row_bytes * min(
        settings.threads * max(settings.chunk_rows, min(sorted_rows, source.longest)), source.n_rows
    )
    long_row = long_rows.held_bytes(source.longest, source.n_artists) if source.longest > sorted_rows else 0
    by_user = 48 * source.n_users
    return _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + by_user + max(chunks + long_row, placed)


def summarize_bytes(source: SourceShape, settings: IngestSettings) -> int:  # noqa: ARG001
    """Return the projected bytes of `summarize`: the medians, sorted copies, and the piece of a table."""
    sorting = max(48 * source.n_users, 24 * source.n_artists)
    return _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + sorting + _table_bytes(source)


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
    # Names are on disk twice: in the tables, and while they are gathered.
    # Pairs that have several rows are listed with their sums: half of the rows at most.
    summed = 16 * (source.n_rows // 2)
    tables = 2 * (source.n_users * (source.user_bytes + 24) + source.n_artists * (source.artist_bytes + 24))
    return n_blocks(source, block_bytes) * (block + mbids) + row_bytes * source.n_rows + summed + tables


def _settings(threads: int, block_bytes: int | None) -> Iterator[list[tuple[int, int]]]:
    """Return threads and block sizes from the fastest to what needs least, in groups of equal threads.

    An eighth of the block size costs a fifth more time; half of the threads, twice the time.
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


def _settings_of(source: SourceShape, threads: int, block_bytes: int) -> IngestSettings:
    """Return settings whose pieces hold a block as the sample shows it, and fewer lines where they are short."""
    most = max(encoding.MIN_PIECE_LINES, encoding.PIECE_LINES * block_bytes // scan.BLOCK_BYTES)
    expected = 5 * block_bytes // (4 * source.row_bytes)
    piece_lines = min(encoding.PIECE_LINES, most, max(encoding.MIN_PIECE_LINES, expected))
    return IngestSettings(threads, block_bytes, piece_lines=piece_lines)


def shrunk(settings: IngestSettings) -> Iterator[IngestSettings]:
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
        How it is read.
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
        If even the smallest settings need more memory or disk.
    BadInputError
        If `block_bytes` is more than a block may have.
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
                for settings in shrunk(_settings_of(source, *pair))
            ]
            # Of equal threads those that leave room come first; the sort is stable.
            yield from sorted(plans, key=lambda plan: plan.stages["scan"] > roomy_bytes)

    return fit(candidates(), budget, work="ingest", elsewhere="choose an output elsewhere")

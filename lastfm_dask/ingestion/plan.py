"""Projected bytes of ingest's stages, and the pace that keeps to what is allowed. Pure: integers in, integers out.

A projection is what a stage holds at most in anonymous memory, what is reserved included. The spool, the maps and
the matrix are maps of files, whose pages the kernel takes back at will: they count only where the disk itself
lives in memory. The factors below were measured; tests hold measured <= projected on real runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from lastfm_dask.engine.embedded import graph_bytes
from lastfm_dask.errors import BadInputError, BudgetError
from lastfm_dask.memory.sizes import MIB, format_size, limit_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_BYTES = 16 * MIB
SMALL_BLOCK_BYTES = 2 * MIB
MIN_BLOCK_BYTES = 1 * MIB
MAX_BLOCK_BYTES = 1024 * MIB
"""Arrow counts a block's bytes in 32 bits."""
BATCH_NAMES = 1 << 21
MIN_BATCH_NAMES = 1 << 17
CHUNK_ROWS = 1 << 17
MIN_CHUNK_ROWS = 1 << 14

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
_CLIENT_BYTES = 24 * MIB
"""Dask's `distributed`, and what it holds of a run, from the scan on."""
_RESULTS = 4
"""Encoded blocks that are here at once: on the wire, read from it, and written to the spool."""
_TABLE_ROWS = 1 << 16
_TABLE_ROW_BYTES = 300
"""What writing Parquet holds by row of the piece that is written: encoded, compressed, and buffered."""


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
    with_mbid : bool
        Whether MBIDs are read.
    """

    source_bytes: int
    n_rows: int
    n_users: int
    n_artists: int
    user_bytes: int = 40
    artist_bytes: int = 16
    with_mbid: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes of a line, on average; one at least."""
        return max(1, self.source_bytes // max(1, self.n_rows))


@dataclass(frozen=True, slots=True)
class Pod:
    """What there is to work with.

    Attributes
    ----------
    allowed_bytes, reserved_bytes : int
        What this process may hold, and what it holds before its data.
    cpus : int
        Threads that may compute.
    free_disk_bytes : int or None
        Where the output is built; None where that is not known.
    disk_in_memory : bool
        Whether that disk's pages count as memory (a tmpfs).
    on_cluster : bool
        Whether blocks are encoded elsewhere, and only their results come here.
    """

    allowed_bytes: int
    reserved_bytes: int
    cpus: int
    free_disk_bytes: int | None = None
    disk_in_memory: bool = False
    on_cluster: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the work goes, which is what is given up first where memory is short."""

    threads: int
    block_bytes: int
    batch_names: int = BATCH_NAMES
    """Names of encoded blocks that are merged at once."""
    chunk_rows: int = CHUNK_ROWS
    """Rows that a thread sorts at once."""


@dataclass(frozen=True, slots=True)
class IngestPlan:
    """What ingest will hold, by stage, and how it keeps to it."""

    pace: Pace
    stages: dict[str, int]
    """Projected bytes by stage, in order."""
    disk_bytes: int
    """What the work directory takes at most; the dataset is a part of it."""
    source: SourceShape
    allocator: str = "system"
    """Arrow's pool in the stages: the C library's, where that is glibc."""

    @property
    def window(self) -> int:
        """Blocks that are under way at once."""
        return self.pace.threads


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
    return _TABLE_ROW_BYTES * min(_TABLE_ROWS, max(source.n_users, source.n_artists))


def task_bytes(source: SourceShape, pace: Pace) -> int:
    """Return the projected bytes of encoding one block, wherever that runs."""
    n_rows = -(-pace.block_bytes // source.row_bytes)
    # The block, its columns as Arrow reads and then copies them, and what either path keeps by line.
    row_bytes = _TASK_ROW_BYTES + (_TASK_MBID_BYTES if source.with_mbid else 0)
    return _TASK_BLOCK_SHARE * pace.block_bytes + row_bytes * n_rows


def scan_bytes(source: SourceShape, pace: Pace, reserved_bytes: int) -> int:
    """Return the projected bytes of `scan`: every thread encodes one block, and all may peak at one moment."""
    blocks = n_blocks(source, pace.block_bytes)
    block = replace(pace, block_bytes=min(pace.block_bytes, max(1, source.source_bytes)))
    tasks = min(pace.threads, blocks) * task_bytes(source, block)
    return reserved_bytes + _SMALL_BYTES + graph_bytes(blocks) + tasks


def driver_bytes(source: SourceShape, pace: Pace, reserved_bytes: int) -> int:
    """Return the projected bytes of `scan` where workers encode: a few results on their way, beside Dask's client."""
    n_users, n_artists = block_names(source, pace.block_bytes)
    n_rows = min(source.n_rows, -(-pace.block_bytes // source.row_bytes))
    encoded = 8 * n_rows + n_users * (source.user_bytes + 20) + n_artists * (source.artist_bytes + 20)
    return reserved_bytes + _SMALL_BYTES + _RESULTS * encoded


def index_bytes(source: SourceShape, pace: Pace, reserved_bytes: int) -> int:
    """Return the projected bytes of `index`: one role's names in a hash table, and one batch of blocks' names."""
    n_users, n_artists = source.n_users, source.n_artists
    # A hash table that doubles stands beside the one that it grew from.
    hashes = max(
        n_users * (source.user_bytes + 4) + 3 * _hash_bytes(n_users) // 2,
        n_artists * (source.artist_bytes + 4) + 3 * _hash_bytes(n_artists) // 2,
    )
    grown = 16 * max(n_users, n_artists)
    blocks = n_blocks(source, pace.block_bytes)
    n_names = min(pace.batch_names, blocks * sum(block_names(source, pace.block_bytes)))
    batch = 14 * n_names + min(n_names, n_artists) * (source.artist_bytes + 28)
    return reserved_bytes + _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + hashes + grown + batch


def assemble_bytes(source: SourceShape, pace: Pace, reserved_bytes: int) -> int:
    """Return the projected bytes of `assemble`: row bounds, a block being placed, and a chunk of rows a thread."""
    n_block_rows = min(source.n_rows, -(-pace.block_bytes // source.row_bytes))
    by_user = 48 * source.n_users
    chunks = 45 * min(pace.chunk_rows * pace.threads, source.n_rows)
    return (
        reserved_bytes
        + _SMALL_BYTES
        + _WARM_BYTES
        + _held_bytes(source)
        + by_user
        + max(chunks, 24 * n_block_rows)
    )


def summarize_bytes(source: SourceShape, pace: Pace, reserved_bytes: int) -> int:  # noqa: ARG001
    """Return the projected bytes of `summarize`: the names, the medians, sorted copies, and Parquet's buffers."""
    return (
        reserved_bytes
        + _SMALL_BYTES
        + _WARM_BYTES
        + _held_bytes(source)
        + 48 * source.n_users
        + _table_bytes(source)
    )


def publish_bytes(source: SourceShape, pace: Pace, reserved_bytes: int) -> int:  # noqa: ARG001
    """Return the projected bytes of `publish`: checksums are read through small buffers."""
    return reserved_bytes + _SMALL_BYTES + _WARM_BYTES + _held_bytes(source) + 16 * source.n_users


STAGES: dict[str, Callable[[SourceShape, Pace, int], int]] = {
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
    # The names stand there twice: in the tables, and while they are gathered.
    tables = 2 * (source.n_users * (source.user_bytes + 24) + source.n_artists * (source.artist_bytes + 24))
    return n_blocks(source, block_bytes) * (block + mbids) + (8 + 8) * source.n_rows + tables


def _rungs(pod: Pod, threads: int | None, block_bytes: int | None) -> Iterator[Pace]:
    """Return paces from the fastest to the one that needs least: smaller blocks, fewer threads, smaller blocks.

    Blocks of an eighth cost a fifth more time, half of the threads twice the time.
    """
    n_threads = min(threads or pod.cpus, pod.cpus)
    if block_bytes is not None:
        yield from (Pace(count, block_bytes) for count in range(n_threads, 0, -1))
        return
    size = BLOCK_BYTES
    while size >= SMALL_BLOCK_BYTES:
        yield Pace(n_threads, size)
        size //= 2
    yield from (Pace(count, SMALL_BLOCK_BYTES) for count in range(n_threads - 1, 0, -1))
    yield Pace(1, MIN_BLOCK_BYTES)


def _shrunk(pace: Pace, fits: Callable[[Pace], bool], field: str, least: int) -> Pace:
    """Halve one of a pace's sizes until it fits, or is the least."""
    while getattr(pace, field) > least and not fits(pace):
        pace = replace(pace, **{field: max(least, getattr(pace, field) // 2)})
    return pace


def project(source: SourceShape, pace: Pace, pod: Pod) -> dict[str, int]:
    """Return the projected bytes of each stage at this pace."""
    in_memory = disk_bytes(source, pace.block_bytes) if pod.disk_in_memory else 0
    stages, reserved_bytes = STAGES, pod.reserved_bytes
    if pod.on_cluster:
        stages, reserved_bytes = STAGES | {"scan": driver_bytes}, reserved_bytes + _CLIENT_BYTES
    return {name: stage(source, pace, reserved_bytes) + in_memory for name, stage in stages.items()}


def plan_ingest(
    source: SourceShape, pod: Pod, *, threads: int | None = None, block_bytes: int | None = None
) -> IngestPlan:
    """Return the fastest plan that keeps to what is allowed.

    Parameters
    ----------
    source : SourceShape
        What is read.
    pod : Pod
        What there is to work with.
    threads, block_bytes : int, optional
        What the caller asked for: never exceeded, and `block_bytes` never changed.

    Raises
    ------
    BudgetError
        Where even the slowest pace needs more memory or disk: with the stage, what was projected, what is
        allowed, and the smallest limit that would do.
    BadInputError
        Where `block_bytes` is more than a block may have.
    """
    if block_bytes is not None and block_bytes > MAX_BLOCK_BYTES:
        msg = f"blocks of {block_bytes} bytes: at most {MAX_BLOCK_BYTES} ({format_size(MAX_BLOCK_BYTES)}) are allowed"
        raise BadInputError(msg)
    paces = [_shrunk_to_fit(source, pod, rung) for rung in _rungs(pod, threads, block_bytes)]
    planned = [(pace, project(source, pace, pod)) for pace in paces]
    fitting = [(pace, stages) for pace, stages in planned if max(stages.values()) <= pod.allowed_bytes]
    if not fitting:
        # Not always the slowest: smaller blocks hold more names in all, which counts where the disk is memory.
        raise _too_little_memory(min((stages for _, stages in planned), key=_most), pod.allowed_bytes)
    roomy_bytes = pod.allowed_bytes * _ROOMY_PERCENT // 100
    roomy = [
        (pace, stages)
        for pace, stages in fitting
        if stages["scan"] <= roomy_bytes and pace.threads == fitting[0][0].threads
    ]
    pace, stages = (roomy or fitting)[0]
    needed = disk_bytes(source, pace.block_bytes)
    if pod.free_disk_bytes is not None and needed > pod.free_disk_bytes:
        msg = (
            f"the disk where the dataset is built has {format_size(pod.free_disk_bytes)} free, and"
            f" {format_size(needed)} ({needed} bytes) are needed: make room, or choose an output elsewhere"
        )
        raise BudgetError(
            msg,
            stage="disk",
            projected_bytes=needed,
            allowed_bytes=pod.free_disk_bytes,
            smallest_bytes=needed,
        )
    return IngestPlan(pace, stages, needed, source)


def _most(stages: dict[str, int]) -> int:
    return max(stages.values())


def _shrunk_to_fit(source: SourceShape, pod: Pod, pace: Pace) -> Pace:
    """Return a pace with the batches of index and the chunks of assemble as small as they have to be."""
    fits = partial(_fits, source, pod)
    pace = _shrunk(pace, partial(fits, "index"), "batch_names", MIN_BATCH_NAMES)
    return _shrunk(pace, partial(fits, "assemble"), "chunk_rows", MIN_CHUNK_ROWS)


def _fits(source: SourceShape, pod: Pod, stage: str, pace: Pace) -> bool:
    return project(source, pace, pod)[stage] <= pod.allowed_bytes


def _too_little_memory(stages: dict[str, int], allowed_bytes: int) -> BudgetError:
    worst = max(stages, key=stages.__getitem__)
    needed = stages[worst]
    msg = (
        f"stage {worst} of ingest needs {format_size(needed)} ({needed} bytes) at the slowest pace, allowed are"
        f" {format_size(allowed_bytes)}: give it {limit_for(needed)} bytes or more (--memory, the pod's limit)"
    )
    return BudgetError(
        msg, stage=worst, projected_bytes=needed, allowed_bytes=allowed_bytes, smallest_bytes=needed
    )

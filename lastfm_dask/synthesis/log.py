"""Writing a synthetic log, as lines or as Parquet: block by block of listeners, on threads, in order.

The bytes depend on the size and the seed (and on NumPy's generators), never on the number of threads.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

# Imported here, not at first use: a signal is swallowed while NumPy loads its generators.
from numpy.random import SeedSequence, default_rng

from lastfm_dask.dataset.files import complete_or_absent
from lastfm_dask.engine.threads import completed
from lastfm_dask.memory.limits import cpus
from lastfm_dask.synthesis.lists import (
    DATED_ROWS,
    MAX_PLAYS,
    Design,
    draw_lists,
    draw_plays,
    make_design,
    row_counts,
)
from lastfm_dask.synthesis.rejects import Broken, reject_rows
from lastfm_dask.synthesis.size import LogSize
from lastfm_dask.synthesis.texts import dated_places, make_texts, written_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from lastfm_dask.synthesis.texts import Texts

__all__ = ["LogSize", "LogSummary", "write_log"]

_USERS_PER_BLOCK = 1024
# Share of an artist's rows with the second of its two MBIDs.
_SECOND_MBID = 0.2


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What a written log contains.

    Attributes
    ----------
    rows : int
        Lines.
    users : int
        Distinct user values, including dates.
    artists : int
        Distinct artist names after `str.lower`, without the empty one.
    artists_as_written : int
        Distinct artist names as written, without the empty one.
    plays_total : int
        Sum of the last field.
    size_bytes : int
        The file's.
    """

    rows: int
    users: int
    artists: int
    artists_as_written: int
    plays_total: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Block:
    """One block of rows, ready to be written: lines in pieces, or columns."""

    pieces: list[Any]
    n_rows: int
    plays: int
    artists: npt.NDArray[np.int64]


def write_log(
    path: Path,
    size: LogSize,
    seed: int = 0,
    *,
    parquet: bool = False,
    n_threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> LogSummary:
    """Write a synthetic log; if it ends early, nothing is left under the final name.

    Parameters
    ----------
    path : Path
        Must not exist; its folder must.
    size : LogSize
        How large.
    seed : int, default 0
        Different seeds give different logs; the same seed gives the same bytes.
    parquet : bool, default False
        Whether columns are written in place of lines: user, mbid, artist, plays.
    n_threads : int, optional
        The number of usable processors unless given.
    progress : callable, optional
        Called with the rows written so far.

    Raises
    ------
    StoreError
        Where the path exists, can't be written, or the disk is full.
    """
    with complete_or_absent(path) as part:
        rng = default_rng(seed)
        design = make_design(_row_counts(size, rng), size.n_artists, rng)
        texts = make_texts(size, design, rng)
        seen = np.zeros(size.n_artists + 1, np.bool_)
        rows = plays = 0
        making = _Making(
            design, texts, reject_rows(int(design.n_rows.sum()), size.n_rejects), seed, parquet=parquet
        )
        with _writer(part, parquet=parquet) as write:
            for block in _blocks(making, n_threads or cpus().count):
                write(block.pieces)
                rows, plays = rows + block.n_rows, plays + block.plays
                seen[block.artists] = True
                if progress is not None:
                    progress(rows)
        size_bytes = part.stat().st_size
    written = written_names(texts, seen)
    lowered = {name.lower() for name in written}
    return LogSummary(rows, len(design.n_rows), len(lowered), len(written), plays, size_bytes)


@contextmanager
def _writer(path: Path, *, parquet: bool) -> Iterator[Callable[[list[Any]], None]]:
    """Give the function that writes a block."""
    if parquet:
        from lastfm_dask.synthesis.parquet import ParquetLog

        with ParquetLog(path) as log:
            yield log.add
    else:
        with path.open("wb") as file:
            yield file.writelines


def _row_counts(size: LogSize, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the lengths of all lists, the dated listeners' among them."""
    n_dated_rows = min(DATED_ROWS, size.n_artists, size.n_rows // (size.n_users + 2))
    n_rows = size.n_rows - size.n_dated * n_dated_rows
    counts = row_counts(size.n_users, n_rows, size.n_artists, rng)
    return np.insert(counts, dated_places(size), n_dated_rows)


@dataclass(frozen=True, slots=True)
class _Making:
    """What all blocks share."""

    design: Design
    texts: Texts
    rejects: npt.NDArray[np.int64] | None
    seed: int
    parquet: bool


def _blocks(making: _Making, n_threads: int) -> Iterator[_Block]:
    """Make the blocks on threads, few at a time, and return them in order."""
    n_users = len(making.design.n_rows)

    def work(number: int) -> _Block:
        start = number * _USERS_PER_BLOCK
        return _make_block(making, range(start, min(start + _USERS_PER_BLOCK, n_users)), number)

    yield from completed(work, range(-(-n_users // _USERS_PER_BLOCK)), n_threads, in_order=True)


def _make_block(making: _Making, users: range, number: int) -> _Block:
    design, texts, rejects = making.design, making.texts, making.rejects
    rng = default_rng(SeedSequence(making.seed, spawn_key=(number,)))
    listeners, artists = draw_lists(design, users, rng)
    plays = draw_plays(listeners, len(users), rng)
    if texts.dates:
        _put_quirks(design, users, artists, plays, empty=None if rejects is not None else texts.n_artists)
    first = int(design.n_rows[: users.start].sum())
    broken = Broken.of(rejects, range(first, first + len(artists)))
    broken.put(artists, plays, empty=texts.n_artists)
    second = (rng.random(len(artists)) < _SECOND_MBID).astype(np.int64)
    columns = texts.columns(users, listeners, artists, second)
    return _Block(
        [*columns, _plays_column(plays, broken)]
        if making.parquet
        else broken.cut(texts.lines(columns, plays)),
        len(artists),
        int(plays.sum()),
        np.unique(np.delete(artists, broken.rows)),
    )


def _plays_column(plays: npt.NDArray[np.int64], broken: Broken) -> Any:
    import pyarrow as pa

    missing = np.zeros(len(plays), np.bool_)
    missing[broken.without_plays] = True
    return pa.array(plays.astype(np.int32), mask=missing)


def _put_quirks(
    design: Design,
    users: range,
    artists: npt.NDArray[np.int64],
    plays: npt.NDArray[np.int64],
    *,
    empty: int | None,
) -> None:
    """Put what the whole log has once: the largest count, and unless `empty` is None a row each of no plays, no artist."""
    n_users = len(design.n_rows)
    ends = design.n_rows[users.start : users.stop].cumsum()
    quirks = [(3 * n_users // 5, plays, False, MAX_PLAYS)]
    if empty is not None:
        quirks += [(n_users // 2, plays, True, 0), (n_users // 4, artists, True, empty)]
    for user, column, of_last, value in quirks:
        if user in users:
            end = int(ends[user - users.start])
            column[end - 1 if of_last else end - int(design.n_rows[user])] = value

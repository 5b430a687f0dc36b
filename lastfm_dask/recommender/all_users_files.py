"""The answers for all users, written as they come: JSON lines to a stream or a file, or a Parquet file.

A file takes its name when all is in it; what stops on the way leaves none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastfm_dask.dataset.files import complete_or_absent
from lastfm_dask.display import is_utf8, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

    from lastfm_dask.memory.budget import Plan, Progress
    from lastfm_dask.recommender.all_users import AllUsers, Batch, BatchSettings
    from lastfm_dask.recommender.answers import Recommender

GROUP_ROWS = 1 << 14
"""Rows of a Parquet file that are written at once."""
GROUP_BYTES = 1 << 20
"""Bytes of names from which on they are written, whatever their number."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What was written, and what it took."""

    path: Path | None
    """The file; None for a stream."""
    n_users: int
    n_items: int
    """Artists listed, over all users."""
    plan: Plan[BatchSettings]
    stage: dict[str, Any] = field(repr=False)
    """The receipt of the only stage."""

    @property
    def users_per_s(self) -> float:
        """Users answered a second."""
        return self.n_users / max(float(self.stage["wall_s"]), 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Return what `recommend --all-users --json` prints."""
        from lastfm_dask.memory.meter import stages_json

        return {
            "path": None if self.path is None else str(self.path),
            "users": self.n_users,
            "items": self.n_items,
            "users_per_s": round(self.users_per_s, 1),
            "batch_users": self.plan.settings.batch_users,
            "threads": self.plan.settings.threads,
            "allowed_bytes": self.plan.budget.allowed,
            "stages": stages_json([self.stage]),
        }


def write_all_users(
    all_users: AllUsers,
    plan: Plan[BatchSettings],
    *,
    parquet: Path | None = None,
    json_lines: IO[str] | Path | None = None,
    progress: Progress | None = None,
) -> WriteResult:
    """Answer for all users, in the order of their rows, and write it: a Parquet file, or JSON lines.

    Parameters
    ----------
    all_users : AllUsers
        What is asked.
    plan : Plan
        What `plan_all_users` gave.
    parquet : Path, optional
        The Parquet file to make: a row (user, rank from 1, artist, score) for each artist listed.
    json_lines : Path or text stream, optional
        Where else lines go: `{"user", "items": [{"artist", "score"}]}` for each user.
    progress : Progress, optional
        Called with how many users are done.

    Raises
    ------
    StoreError
        If the file exists, or the disk is full; no file is left then.
    """
    from lastfm_dask.memory.meter import Meter

    counted = [0, 0]

    def on_batch(batch: Batch) -> None:
        counted[0] += len(batch.items)
        counted[1] += int(np.count_nonzero(batch.items >= 0))
        if progress is not None:
            progress("recommend", counted[0], all_users.model.n_users)

    path = parquet if parquet is not None else json_lines if isinstance(json_lines, Path) else None
    model, batches = all_users.model, all_users.batches(plan.settings)
    with (
        Meter() as meter,
        meter.stage(
            "recommend", projected_bytes=plan.projected_bytes, threads=plan.settings.threads
        ) as stage,
    ):
        if path is None:
            write_json_lines(model, batches, json_lines, on_batch)  # type: ignore[arg-type]
        else:
            with complete_or_absent(path) as part:
                if parquet is not None:
                    write_parquet(model, batches, part, on_batch)
                else:
                    with part.open("w", encoding="utf-8") as file:
                        write_json_lines(model, batches, file, on_batch)
        stage.rows = counted[0]
    return WriteResult(path, counted[0], counted[1], plan, meter.receipts[0])


def write_json_lines(
    model: Recommender, batches: Iterable[Batch], file: IO[str], on_batch: Callable[[Batch], None]
) -> None:
    """Write a line `{"user", "items": [{"artist", "score"}]}` for each user, in the order of their rows."""
    quote = partial(to_json, ascii_only=not is_utf8(getattr(file, "encoding", None)))
    for batch in batches:
        distinct = np.unique(batch.items[batch.items >= 0])
        names = dict(zip(distinct.tolist(), map(quote, model.artists.names(distinct)), strict=True))
        users = model.users.names(batch.rows)
        for user, items, scores in zip(users, batch.items.tolist(), batch.scores.tolist(), strict=True):
            listed = (
                f'{{"artist": {names[item]}, "score": {score!r}}}'
                for item, score in zip(items, scores, strict=True)
                if item >= 0
            )
            file.write(f'{{"user": {quote(user)}, "items": [{", ".join(listed)}]}}\n')
        on_batch(batch)


def write_parquet(
    model: Recommender, batches: Iterable[Batch], path: Path, on_batch: Callable[[Batch], None]
) -> None:
    """Write a row (user, rank from 1, artist, score) for each artist listed, users in the order of their rows."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = pa.schema(
        [("user", pa.string()), ("rank", pa.int32()), ("artist", pa.string()), ("score", pa.float64())]
    )
    with ParquetWriter(path, schema, use_dictionary=["user", "artist"]) as writer:
        for group in _of_few_bytes(model, _grouped(batches)):
            parts = [pa.table(_columns(model, batch), schema=schema) for batch in group]
            table = pa.concat_tables(parts).combine_chunks()
            writer.write_table(table, row_group_size=max(table.num_rows, 1))
            for batch in group:
                on_batch(batch)


def _grouped(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Cut batches into the groups that are written at once, whatever their size: the file's bytes are the same."""
    group: list[Batch] = []
    for batch in batches:
        n_users = max(16, GROUP_ROWS // batch.items.shape[1])
        start = 0
        while start < len(batch.items):
            to_boundary = n_users - (batch.start + start) % n_users
            part = batch.part(start, min(start + to_boundary, len(batch.items)))
            group.append(part)
            start += len(part.items)
            if (part.start + len(part.items)) % n_users == 0:
                yield group
                group = []
    if group:
        yield group


def _of_few_bytes(model: Recommender, groups: Iterable[list[Batch]]) -> Iterator[list[Batch]]:
    """Cut groups with long names into smaller ones, only by what they list; a user's list stays whole."""
    import pyarrow.compute as pc

    artist_bytes, user_bytes = (
        pc.binary_length(names.array).to_numpy(zero_copy_only=False) for names in (model.artists, model.users)
    )
    for group in groups:
        kept: list[Batch] = []
        held = 0
        for batch in group:
            # A user's name is repeated for each artist of the list.
            names = user_bytes[batch.start : batch.rows.stop, None] + artist_bytes[batch.items]
            by_user = np.where(batch.items >= 0, names, 0).sum(axis=1, dtype=np.int64)
            start = 0
            for end in range(1, len(by_user) + 1):
                held += int(by_user[end - 1])
                if held > GROUP_BYTES:
                    yield [*kept, batch.part(start, end)]
                    kept, held, start = [], 0, end
            if start < len(by_user):
                kept.append(batch.part(start, len(by_user)))
        if kept:
            yield kept


def _columns(model: Recommender, batch: Batch) -> list[Any]:
    import pyarrow as pa

    listed = batch.items >= 0
    rows, ranks = np.nonzero(listed)
    distinct, codes = np.unique(batch.items[listed], return_inverse=True)
    artists = pa.array(model.artists.names(distinct), pa.string()).take(pa.array(codes))
    users = pa.array(model.users.names(batch.rows), pa.string()).take(pa.array(rows))
    return [users, pa.array(ranks + 1, pa.int32()), artists, pa.array(batch.scores[listed])]

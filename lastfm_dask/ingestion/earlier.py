"""A dataset that is appended to: its rows given again, as the first encoded blocks of a source.

First come blocks of names alone, so that the old indices stay as they are. Then come the users' rows in the matrix's
order; rows that had been summed are given as they were in the source. A dataset built from these blocks and the new
source's blocks has the same bytes as one built from both sources in order. Blocks are made on demand, never stored.
"""

from __future__ import annotations

import shutil
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.arrays import row_blocks
from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.dataset.store import verify_directory
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.ingestion.summed import EXACT_PLAYS, open_summed
from lastfm_dask.interactions.encoding import record_batch
from lastfm_dask.interactions.schema import REASONS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.source_shape import SourceShape
    from lastfm_dask.ingestion.spool import Spool
    from lastfm_dask.interactions.schema import Schema

_NAMES = 1 << 16
_ROWS = 1 << 16
_FILE = -1
"""The number of a file that the source does not have."""
_NAME_COPIES = 2


class Earlier:
    """An opened dataset whose rows come before a source's.

    Parameters
    ----------
    path : Path
        The dataset.
    schema : Schema
        Of the new source; it must agree with the dataset's.

    Raises
    ------
    StoreError
        The dataset can't be opened, or is of format version 1.
    BadInputError
        Its rows are of another kind, or can't be recovered.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        # Otherwise damage would be copied into a new dataset with correct checksums.
        verify_directory(path, layout.DATASET)
        self.dataset = Dataset(path)
        if self.dataset.manifest.version < layout.DATASET.version:
            msg = (
                f"{path} has format version {self.dataset.manifest.version}, which does not keep the rows that were"
                " summed: build it again from its source, then append to it"
            )
            raise StoreError(msg, path=str(path))
        _refuse_other_rows(self.dataset, schema)
        self._events = schema.events
        if not int(self._lengths.min(initial=1)):
            msg = f"{path} has users without an artist, which no source has: it can't be appended to"
            raise BadInputError(msg)

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        arrays: dict[str, Any] = dict(zip(("indptr", "indices", "data"), self.dataset.csr, strict=True))
        arrays["summed"] = open_summed(self.dataset)
        return arrays | dict(zip(("first", "last"), self.dataset.listens or (), strict=False))

    @property
    def _lengths(self) -> npt.NDArray[np.int64]:
        import numpy as np

        lengths: npt.NDArray[np.int64] = np.diff(self._arrays["indptr"]).astype(np.int64)
        return lengths

    @cached_property
    def _names(self) -> dict[str, pa.StringArray]:
        return {"user": self.dataset.users.array, "artist": self.dataset.artists.array}

    @cached_property
    def _blocks(self) -> list[tuple[int, int]]:
        return list(row_blocks(self._arrays["indptr"], _ROWS))

    @property
    def _n_name_blocks(self) -> int:
        return -(-max(self.dataset.n_users, self.dataset.n_artists) // _NAMES)

    @property
    def n_blocks(self) -> int:
        """The number of blocks."""
        return self._n_name_blocks + len(self._blocks)

    def get(self, number: int) -> list[pa.RecordBatch]:
        """Return the pieces of a block, of which there is one."""
        if number < self._n_name_blocks:
            return [self._name_block(number * _NAMES)]
        return [self._row_block(*self._blocks[number - self._n_name_blocks])]

    def _name_block(self, first: int) -> pa.RecordBatch:
        import numpy as np

        lists: dict[str, Any] = {"counts": [_FILE, 0, 0]}
        for role, names in self._names.items():
            some = names.slice(first, _NAMES) if first < len(names) else names.slice(0, 0)
            nothing = np.zeros(len(some), np.int32)
            lists |= {f"{role}s": some, f"{role}_rows": nothing, f"{role}_plays": nothing}
        return record_batch(lists)

    def _row_block(self, first: int, end: int) -> pa.RecordBatch:
        import numpy as np

        pairs, plays, times = self._rows(first, end)
        n_artists = self.dataset.n_artists
        users, columns = np.divmod(pairs, n_artists)
        distinct, codes = np.unique(columns, return_inverse=True)
        sums = {"user": np.zeros(end - first, np.int64), "artist": np.zeros(len(distinct), np.int64)}
        np.add.at(sums["user"], users, plays)
        np.add.at(sums["artist"], codes, plays)
        return record_batch(
            {
                "users": self._names["user"].slice(first, end - first),
                "user_rows": np.bincount(users, minlength=end - first),
                "user_plays": sums["user"],
                "artists": self._names["artist"].take(distinct),
                "artist_rows": np.bincount(codes, minlength=len(distinct)),
                "artist_plays": sums["artist"],
                "artist_codes": codes,
                "plays": plays,
                "times": () if times is None else times,
                "counts": [_FILE, len(plays), np.count_nonzero(plays == 1)],
            }
        )

    def _rows(
        self, first: int, end: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
        """Return the rows of some users in order of user and artist: each row's pair, plays and time."""
        import numpy as np

        arrays = self._arrays
        place = slice(int(arrays["indptr"][first]), int(arrays["indptr"][end]))
        n_artists = self.dataset.n_artists
        users = np.repeat(np.arange(end - first, dtype=np.int64), self._lengths[first:end])
        stored = users * n_artists + arrays["indices"][place]
        values = arrays["data"][place].astype(np.int64)
        if self._events:
            pairs, plays = self._listens(stored, values)
        else:
            bounds = np.searchsorted(self._summed_users, (first, end))
            entries = arrays["summed"][bounds[0] : bounds[1]].astype(np.int64)
            again = (entries[:, 0] - first) * n_artists + entries[:, 1]
            kept = ~np.isin(stored, again)
            pairs = np.concatenate((stored[kept], np.repeat(again, entries[:, 3])))
            plays = np.concatenate((values[kept], np.repeat(entries[:, 2], entries[:, 3])))
        order = np.argsort(pairs, kind="stable")
        pairs, plays = pairs[order], plays[order]
        if "first" not in arrays:
            return pairs, plays, None
        places = np.searchsorted(stored, pairs)
        is_last = np.ones(len(pairs), np.bool_)
        is_last[:-1] = pairs[1:] != pairs[:-1]
        times = np.where(is_last, arrays["last"][place][places], arrays["first"][place][places])
        return pairs, plays, times

    @cached_property
    def _summed_users(self) -> npt.NDArray[np.int32]:
        import numpy as np

        return np.ascontiguousarray(self._arrays["summed"][:, 0])

    def _listens(
        self, pairs: npt.NDArray[np.int64], values: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return one or two rows a pair that stand for all of its listens; the last listen has a row of its own, with its time."""
        import numpy as np

        if int(values.max(initial=0)) > EXACT_PLAYS:
            msg = (
                f"{self.dataset.path} has more than {EXACT_PLAYS} listens of one pair, which it keeps rounded"
            )
            raise BadInputError(msg)
        several = values > 1
        plays = np.where(several, values - 1, 1)
        return np.concatenate((pairs, pairs[several])), np.concatenate(
            (plays, np.ones(int(several.sum()), np.int64))
        )

    def added_to(self, shape: SourceShape) -> SourceShape:
        """Return the shape of a source with this dataset's rows before it."""
        from dataclasses import replace

        statistics = self.dataset.statistics
        n_rows = 2 * statistics["nnz"] if self._events else max(statistics["nnz"], statistics["rows_kept"])
        name_bytes = self.dataset.users.plain_bytes + self.dataset.artists.plain_bytes
        return replace(
            shape,
            source_bytes=shape.source_bytes + n_rows * shape.row_bytes,
            n_rows=shape.n_rows + n_rows,
            n_users=shape.n_users + self.dataset.n_users,
            n_artists=shape.n_artists + self.dataset.n_artists,
            held_bytes=_NAME_COPIES * name_bytes + 4 * len(self._arrays["summed"]) + 160 * _ROWS,
        )

    def leave_out(self, found: Index) -> None:
        """Subtract this dataset's rows from the counts, which leaves the source's."""
        n_rows = found.n_lines.pop(_FILE)
        found.rows_read -= n_rows
        found.rows_kept -= n_rows

    def count_in(self, found: Index) -> None:
        """Add the counts of the rows that this dataset was made of, from its manifest."""
        statistics = self.dataset.statistics
        found.rows_read += statistics["rows_read"]
        found.rows_kept += statistics["rows_kept"]
        both = [statistics["rejects"], found.rejects]
        counts = {reason: sum(rejects.get(reason, 0) for rejects in both) for reason in REASONS}
        found.rejects = {reason: n for reason, n in counts.items() if n}

    def add_rejects(self, path: Path) -> None:
        """Put this dataset's rejected rows before those of a file."""
        new = path.with_name(f"{path.name}.new")
        path.rename(new)
        with path.open("wb") as file:
            for source in (self.dataset.path / layout.REJECTS, new):
                with source.open("rb") as rejects:
                    shutil.copyfileobj(rejects, file, 1 << 20)
        new.unlink()

    def reconciled(self, found: dict[str, Any], n_added: int) -> dict[str, Any]:
        """Return a reconciliation joined with this dataset's; `n_added` rows were added by hand."""
        own = self.dataset.manifest.content["reconciliation"]
        lines = dict(own.get("lines", {}))
        for path, n in found["lines"].items():
            lines[path] = lines.get(path, 0) + n
        users_added = found["users_added"] + own.get("users_added", 0)
        merged = {**found, "lines": lines, "users_added": users_added}
        if self._events:
            # In this dataset's blocks, the listens of a pair are one or two rows.
            merged["rows_added"] = own["rows_added"] + n_added
            merged["rows_summed"] = found["rows_kept"] + merged["rows_added"] - found["nnz"]
        return merged


class Preceded:
    """A spool that puts the blocks of an earlier dataset first."""

    def __init__(self, earlier: Earlier, spool: Spool) -> None:
        self._earlier, self._spool = earlier, spool

    def get(self, number: int) -> list[pa.RecordBatch]:
        """Return the encoded pieces of a block."""
        n_earlier = self._earlier.n_blocks
        return self._earlier.get(number) if number < n_earlier else self._spool.get(number - n_earlier)


def _refuse_other_rows(dataset: Dataset, schema: Schema) -> None:
    """Raise BadInputError if a dataset's rows and the source's are of different kinds."""
    content = dataset.manifest.content
    settings, options = content.get("settings") or {}, content.get("options") or {}
    has_times = layout.FIRST_LISTEN in dataset.manifest.files
    reasons = {
        "one of them holds real values, whose sums depend on the order of all rows": schema.is_real
        or (settings.get("values") == "float" and not settings.get("events")),
        "one of them has MBIDs, and a dataset keeps only the most frequent of each artist (leave --with-mbid out)": schema.with_mbid
        or bool(settings.get("with_mbid")),
        "its artists are shown by the names of --artist-names, not by their ids": bool(
            options.get("artist_names")
        ),
        f"its artist names {'keep' if settings.get('keep_case') else 'do not keep'} their case, and the source's"
        f" {'do' if schema.keep_case else 'do not'} (--keep-case)": bool(settings.get("keep_case"))
        != schema.keep_case,
        "only one of them counts events (--events)": bool(settings.get("events")) != schema.events,
        "only one of them has times": has_times != schema.with_time,
    }
    for reason, holds in reasons.items():
        if holds:
            msg = f"{dataset.path} can't be appended to: {reason}; ingest both sources together instead"
            raise BadInputError(msg)

"""The index stage: batches of any size give the same ids, maps and counts; added rows come after all others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from reference import map_rows, read_log
from stages import Work, indexed

from lastfm_dask.ingestion.index import add_rows
from lastfm_dask.interactions.encoding import column, record_batch
from lastfm_dask.interactions.schema import Schema

SCHEMA = Schema(("user", "artist", "plays"))
FILES = [b"u\tA\t1\nv\tb\t5\nbad\nu\tB\t1\n", b"", b"w\ta\t9\nu\ta\t3\n\n"]


@pytest.mark.parametrize("batch_names", [1, 3, 100])
@pytest.mark.parametrize("block_bytes", [5, 7, 1000])
def test_ids_and_counts_are_those_of_dictionaries(tmp_path, batch_names, block_bytes):
    found, spool, _ = indexed(tmp_path, FILES, SCHEMA, Work(block_bytes, seed=1, batch_names=batch_names))
    logs = [read_log(data, SCHEMA) for data in FILES]
    rows = list(itertools.chain.from_iterable(log.rows for log in logs))
    mapped = map_rows(rows, SCHEMA)
    assert found.users.array.to_pylist() == list(mapped.users)
    assert found.artists.array.to_pylist() == list(mapped.artists)
    assert found.users.rows.tolist() == list(map(len, mapped.user_plays))
    assert found.artists.plays.tolist() == list(map(sum, mapped.artist_plays))
    assert found.n_lines == {number: log.n_lines for number, log in enumerate(logs) if log.n_lines}
    assert (found.rows_read, found.rows_kept, found.played_once) == (7, 5, 2)
    assert found.rejects == {"field_count": 2}
    # Each block's rows, by the maps, are the source's rows in file order.
    seen = []
    for batch, users, artists in found.blocks(spool):
        codes = column(batch, "user_codes")
        if not len(codes):
            codes = np.repeat(np.arange(len(users)), column(batch, "user_rows"))
        seen += zip(users[codes].tolist(), artists[column(batch, "artist_codes")].tolist(), strict=True)
    assert seen == [(mapped.users[user], mapped.artists[artist.lower()]) for user, _, artist, _ in rows]


def test_added_rows_count_for_names_and_not_for_the_source(tmp_path):
    found, spool, _ = indexed(tmp_path, FILES, SCHEMA, Work(block_bytes=7))
    before = (found.rows_read, found.rows_kept, len(found.artists))
    added = {"users": ["zimin"], "user_rows": [2], "user_plays": [31], "artists": ["b", "a"]}
    counted = {"artist_rows": [1, 1], "artist_plays": [30, 1], "artist_codes": [0, 1], "plays": [30, 1]}
    add_rows(found, record_batch(added | counted | {"counts": [-1, 2, 1]}))
    assert (found.rows_read, found.rows_kept, len(found.artists)) == before
    assert found.played_once == 3
    assert found.users.find("zimin") == len(found.users) - 1
    assert found.artists.rows.tolist() == [4, 3]
    *_, (batch, users, artists) = found.blocks(spool)
    assert (batch, users.tolist(), artists.tolist()) == (found.added, [3], [1, 0])


def test_progress_is_told_in_blocks(tmp_path):
    from lastfm_dask.ingestion.index import index
    from lastfm_dask.ingestion.rejects import RejectsWriter

    found, spool, output = indexed(tmp_path, FILES, SCHEMA, Work(block_bytes=5))
    steps: list[int] = []
    with RejectsWriter(output / "again.tsv", ["0", "1", "2"]) as rejects:
        index(
            spool,
            found.n_blocks,
            tmp_path / "maps",
            rejects,
            batch_names=2,
            schema=SCHEMA,
            progress=steps.append,
        )
    assert sum(steps) == found.n_blocks
    assert len(steps) > 1

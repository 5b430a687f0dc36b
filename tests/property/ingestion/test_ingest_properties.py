"""Encode, index and assemble against dictionaries filled in file order, however the work is cut and ordered."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nasty import MAX_LINE, MAX_REJECT, lines_of, short_lines
from reference import map_rows, read_log, reject_lines
from stages import Built, Work, build, names_of

from lastfm_dask.dataset import layout
from lastfm_dask.ingestion.summarize import reconcile
from lastfm_dask.interactions.schema import Schema

SCHEMAS = [
    Schema(("user", "mbid", "artist", "plays")),
    Schema(("user", "mbid", "artist", "plays"), with_mbid=True, keep_case=True),
    Schema(("user", "mbid", "artist", "plays"), with_mbid=True, header=True),
]
works = st.builds(
    Work,
    block_bytes=st.integers(12, 4 * MAX_LINE),
    seed=st.integers(0, 99),
    batch_names=st.integers(1, 8),
    chunk_rows=st.integers(1, 12),
    threads=st.integers(1, 3),
    piece_lines=st.integers(1, 9) | st.just(1 << 18),
)


@st.composite
def logs(draw: st.DrawFn) -> tuple[Schema, list[bytes]]:
    schema = draw(st.sampled_from(SCHEMAS))
    good = draw(st.booleans())
    return schema, draw(st.lists(lines_of(schema, good=good, most=15), min_size=1, max_size=3))


def check(built: Built, files: list[bytes], schema: Schema) -> None:
    logs = [read_log(data, schema, max_line=MAX_LINE, max_reject=MAX_REJECT) for data in files]
    rows = [row for log in logs for row in log.rows]
    found = built.found
    n_rejects = sum(len(log.rejects) for log in logs)
    assert (found.rows_kept, found.rows_read) == (len(rows), len(rows) + n_rejects)
    assert sum(found.rejects.values()) == n_rejects
    assert found.played_once == sum(plays == 1 for *_, plays in rows)
    named = list(zip(names_of(len(files)), logs, strict=True))
    assert (built.output / layout.REJECTS).read_bytes() == reject_lines(named)
    if not rows:
        return
    mapped = map_rows(rows, schema)
    users, artists = built.table(layout.USERS), built.table(layout.ARTISTS)
    assert users["user"] == list(mapped.users)
    assert users["n_artists"] == [len(plays) for plays in mapped.user_plays]
    assert users["plays"] == [sum(plays) for plays in mapped.user_plays]
    assert users["median_plays"] == mapped.medians()
    assert artists["artist"] == list(mapped.artists)
    assert artists["listeners"] == [len(plays) for plays in mapped.artist_plays]
    assert artists["plays"] == [sum(plays) for plays in mapped.artist_plays]
    if schema.with_mbid:
        mbids = [mapped.mbid_of(artist) for artist in range(len(mapped.artists))]
        assert list(zip(artists["mbid"], artists["n_mbids"], strict=True)) == mbids
    check_matrix(built, mapped)
    summary = reconcile(found, built.assembled, names_of(len(files)))
    assert summary["rows_kept"] == summary["nnz"] + summary["rows_summed"]
    assert summary["rows_read"] == summary["rows_kept"] + sum(summary["rejects"].values())


def check_matrix(built: Built, mapped) -> None:
    indptr, indices, data = built.csr()
    wanted = mapped.csr()
    assert (indptr.tolist(), indices.tolist()) == wanted[:2]
    # Summed in int64, rounded once.
    assert data.tolist() == np.array(wanted[2], np.int64).astype(np.float32).tolist()
    assert (indptr.dtype, indices.dtype, data.dtype) == (np.int32, np.int32, np.float32)
    assert built.assembled.nnz == len(mapped.plays)


ONE_BAD_BLOCK = [b"x" * 60 + b"\n" + b"u\t\ta\t5\n" * 9, b"bad\n"]


@given(log=logs(), work=works)
@example(log=(SCHEMAS[0], ONE_BAD_BLOCK), work=Work(block_bytes=20, seed=1, batch_names=1, chunk_rows=2))
@example(
    log=(SCHEMAS[0], [b"u\t\ta\t2147483647\n" * 3 + b"v\t\tA\t1\n"]), work=Work(block_bytes=9, chunk_rows=1)
)
@settings(max_examples=40)
def test_the_result_is_that_of_dictionaries_filled_in_file_order(log, work):
    schema, files = log
    with tempfile.TemporaryDirectory() as folder, short_lines():
        check(build(Path(folder), files, schema, work), files, schema)


@given(log=logs(), works=st.tuples(works, works))
@settings(max_examples=15)
def test_the_same_bytes_however_the_work_is_cut_and_ordered(log, works):
    schema, files = log
    with short_lines():
        found = []
        for work in works:
            with tempfile.TemporaryDirectory() as folder:
                built = build(Path(folder), files, schema, work)
                found.append(
                    built.bytes() if built.assembled else (built.output / layout.REJECTS).read_bytes()
                )
    assert found[0] == found[1]

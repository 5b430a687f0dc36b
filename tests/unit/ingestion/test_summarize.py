"""Tables, statistics over rows before they are summed, and the reconciliation of a source with its matrix."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pyarrow.parquet as pq
import pytest
from reference import map_rows, read_log
from stages import Work, build

from lastfm_dask.dataset import layout, tables
from lastfm_dask.ingestion.index import add_rows
from lastfm_dask.ingestion.summarize import dataset_statistics, reconcile, write_tables
from lastfm_dask.interactions.encoding import record_batch
from lastfm_dask.interactions.formats import FORMATS
from lastfm_dask.interactions.schema import Schema
from lastfm_dask.sources import published

SCHEMA = FORMATS["lastfm-360k"]
SHA1 = "00000c289a1829a808ac09c00daf10bc3c4e223b"
LOG = (
    f"{SHA1}\tm\tA\t10\n{SHA1}\tm\ta\t1\n{SHA1}\tn\tb\t7\nbad\nsep 20, 2008\t\ta\t1\n{SHA1.upper()}\tn\ta\t3\n"
    f"{SHA1}x\t\tc\t3\n{SHA1}\t\tb\t0\n"
).encode()


def test_tables_are_written_in_pieces_of_rows_whatever_the_chunks_in_memory(tmp_path):
    data = b"".join(b"u%d\tm%d\ta%d\t%d\n" % (i, i % 5, i % 17, i % 9 + 1) for i in range(90))
    schema = Schema(SCHEMA.columns, with_mbid=True)
    built = []
    with mock.patch.object(tables, "TABLE_ROWS", 8):
        for number, work in enumerate((Work(), Work(64, 1, 1), Work(100, 2, 7))):
            (tmp_path / str(number)).mkdir()
            built.append(build(tmp_path / str(number), [data], schema, work))
    assert len({tuple(one.bytes().values()) for one in built}) == 1
    file = pq.ParquetFile(built[0].output / layout.USERS)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [8] * 11 + [2]
    assert built[0].table(layout.USERS)["user"] == [f"u{i}" for i in range(90)]
    names = {
        name: str(type_) for name, type_ in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)
    }
    assert names == {"user": "string", "n_artists": "int64", "plays": "int64", "median_plays": "double"}


def test_the_longest_names_are_those_of_the_tables(tmp_path):
    data = "ü\t\ta\t1\nv\t\tééé\t1\nv\t\tbbbb\t1\n".encode()
    built = build(tmp_path, [data], SCHEMA, Work())
    with mock.patch.object(tables, "TABLE_ROWS", 1):
        assert write_tables(built.found, built.assembled, built.output) == {"user": 2, "artist": 6}


def test_statistics_count_rows_before_they_are_summed(tmp_path):
    built = build(tmp_path, [LOG], SCHEMA, Work())
    found = dataset_statistics(built.found, built.assembled)
    log = read_log(LOG, SCHEMA)
    mapped = map_rows(log.rows, SCHEMA)
    assert (found["rows_read"], found["rows_kept"]) == (log.n_lines, len(log.rows))
    assert found["rejects"] == Counter(reason for _, reason, _ in log.rejects)
    assert (found["users"], found["artists"]) == (len(mapped.users), len(mapped.artists))
    assert found["nnz"] == len(mapped.plays) == found["rows_kept"] - 1
    assert found["plays_total"] == sum(plays for *_, plays in log.rows)
    assert found["played_once"] == 2
    assert found["played_once_share"] == 2 / len(log.rows)
    assert found["artists_per_user"]["max"] == 3
    assert found["top_artists"][0] == {"artist": "a", "listeners": 4, "plays": 15}
    sizes = [(built.output / name).stat().st_size - 128 for name in layout.USER_ITEMS]
    assert found["csr_bytes"] == sum(sizes)


def test_the_reconciliation_adds_up_and_names_odd_users(tmp_path):
    built = build(tmp_path, [LOG, b"", b"bad"], SCHEMA, Work(70))
    found = reconcile(built.found, built.assembled, ["a", "b", "c"])
    assert found["rows_read"] == found["rows_kept"] + sum(found["rejects"].values())
    assert found["nnz"] == found["rows_kept"] + found["rows_added"] - found["rows_summed"]
    assert found["lines"] == {"a": LOG.count(b"\n"), "c": 1}
    assert found["n_users_not_sha1"] == 3
    names = ["sep 20, 2008", SHA1.upper(), f"{SHA1}x"]
    assert found["users_not_sha1"] == [{"user": name, "rows": 1} for name in names]
    assert not {"published", "n_artists_with_several_mbids"} & set(found)


def test_added_rows_are_told_apart(tmp_path):
    from lastfm_dask.ingestion.assemble import assemble
    from lastfm_dask.ingestion.spool import Spool

    built = build(tmp_path, [LOG], SCHEMA, Work(100))
    lists = {"users": ["z"], "user_rows": [2], "user_plays": [5], "artists": ["a"], "artist_rows": [2]}
    more = {"artist_plays": [5], "artist_codes": [0, 0], "plays": [4, 1], "counts": [-1, 2, 1]}
    add_rows(built.found, record_batch(lists | more))
    output = tmp_path / "again"
    output.mkdir()
    spool = Spool(tmp_path / "spool", {"block_bytes": 100})
    assembled = assemble(built.found, spool, output, chunk_rows=3, threads=1)
    write_tables(built.found, assembled, output)
    found = reconcile(built.found, assembled, ["log"])
    assert (found["rows_added"], found["users_added"], found["rows_summed"]) == (2, 1, 2)
    assert found["nnz"] == found["rows_kept"] + found["rows_added"] - found["rows_summed"]
    assert dataset_statistics(built.found, assembled)["rows_kept"] == found["rows_kept"] == 6


def test_artists_with_several_mbids_are_listed(tmp_path):
    schema = Schema(SCHEMA.columns, with_mbid=True)
    data = LOG + f"{SHA1}\tnew\tA\t10\n{SHA1}\to\tb\t1\n".encode()
    built = build(tmp_path, [data], schema, Work(64))
    found = reconcile(built.found, built.assembled, ["log"])
    assert found["n_artists_with_several_mbids"] == 2
    assert found["artists_with_several_mbids"] == [
        {"artist": "a", "n_mbids": 3},
        {"artist": "b", "n_mbids": 2},
    ]


@pytest.mark.parametrize("n_bad", [0, 1])
def test_a_log_of_the_published_length_is_compared_with_its_description(tmp_path, n_bad):
    lines = LOG.replace(b"bad\n", b"bad\n" * n_bad)
    n_lines = lines.count(b"\n")
    figures = {"N_LINES": n_lines, "N_USERS": 1, "N_ARTISTS_WITH_MBID": 2, "N_ARTISTS_WITHOUT_MBID": 1}
    with mock.patch.multiple(published, **figures):
        built = build(tmp_path, [lines], SCHEMA, Work())
        found = reconcile(built.found, built.assembled, ["log"])["published"]
    rows = {row["figure"]: (row["published"], row["found"]) for row in found}
    assert rows == {
        "lines": (n_lines, n_lines),
        "rows kept": (n_lines, n_lines - 1 - n_bad),
        "users": (1, 4),
        "artists": (3, 3),
    }
    assert all(bool(row["why"]) == (row["published"] != row["found"]) for row in found)
    assert "3 user ids" in next(row["why"] for row in found if row["figure"] == "users")

"""The look at a source before the work: exact for small ones, near for large ones, and little read of any."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference import read_log

from lastfm_dask.ingestion import survey as module
from lastfm_dask.ingestion.plan import IngestSettings, assemble_bytes, piece_lines, piece_rows
from lastfm_dask.ingestion.source_shape import SourceShape, block_names
from lastfm_dask.ingestion.survey import survey
from lastfm_dask.interactions.blocks import ROW_BYTES
from lastfm_dask.interactions.formats import FORMATS, SchemaOptions
from lastfm_dask.interactions.headers import resolve
from lastfm_dask.interactions.row_groups import most_distinct
from lastfm_dask.interactions.schema import Schema
from lastfm_dask.sources import files as sources

SCHEMA = FORMATS["lastfm-360k"]


def log(n_users: int, per_user: int = 20, seed: int = 0) -> bytes:
    rng = random.Random(seed)
    lines = []
    for _ in range(n_users):
        user = f"{rng.getrandbits(160):040x}"
        # About as unequal as real ones: half of the rows on a few artists, many artists once.
        lines += [
            f"{user}\t\tartist {int(rng.paretovariate(0.6))}\t{rng.randint(1, 99)}" for _ in range(per_user)
        ]
    return ("\n".join(lines) + "\n").encode()


def surveyed(tmp_path, *datas: bytes, schema: Schema = SCHEMA, ending: str = ""):
    for number, data in enumerate(datas):
        (tmp_path / f"{number:03d}.tsv{ending}").write_bytes(data)
    return survey(sources.find([tmp_path / "*"]), schema)


@pytest.mark.parametrize("header", [False, True])
def test_a_small_source_is_counted(tmp_path, header):
    data = log(50) + b"bad\n"
    schema = Schema(SCHEMA.columns, header=header)
    found = surveyed(tmp_path, data, schema=schema)
    rows = read_log(data, schema).rows
    users, artists = {row[0] for row in rows}, {row[2] for row in rows}
    assert found.source_bytes == len(data)
    assert found.n_rows == data.count(b"\n")
    assert (found.n_users, found.n_artists) == (len(users), len(artists))
    assert found.user_bytes == 40
    assert found.artist_bytes == -(-sum(map(len, artists)) // len(artists))
    assert found.with_mbid == schema.with_mbid
    assert found.longest == max(Counter(row[0] for row in rows).values())
    assert found.most_listeners == max(Counter(row[2] for row in rows).values())


def test_a_large_source_is_estimated_from_little_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECES", 12)
    monkeypatch.setattr(module, "_PIECE_BYTES", 16 << 10)
    data = log(4000)
    n_read = 0
    real = sources.open_ranges

    @contextmanager
    def counting(path):
        with real(path) as read:

            def counted(offset, n_bytes):
                nonlocal n_read
                piece = read(offset, n_bytes)
                n_read += len(piece)
                return piece

            yield counted

    monkeypatch.setattr(module, "open_ranges", counting)
    found = surveyed(tmp_path, data)
    rows = read_log(data, SCHEMA).rows
    assert n_read < len(data) / 4
    assert found.n_rows == pytest.approx(len(rows), rel=0.05)
    assert found.n_users == pytest.approx(4000, rel=0.2)
    assert found.n_artists == pytest.approx(len({row[2] for row in rows}), rel=1)


def test_users_that_come_again_are_not_counted_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECES", 12)
    monkeypatch.setattr(module, "_PIECE_BYTES", 8 << 10)
    lines = log(1000, per_user=50).splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    found = surveyed(tmp_path, b"".join(lines))
    # Within the root of how many times larger the source is than what is read of it.
    bound = (found.source_bytes / (12 * module._PIECE_BYTES)) ** 0.5
    assert 1000 / bound <= found.n_users <= 1000 * bound
    assert found.n_users < found.n_rows / 8
    monkeypatch.setattr(module, "_PIECE_BYTES", 1 << 20)
    assert surveyed(tmp_path, b"".join(lines)).n_users == pytest.approx(1000, rel=0.01)


def test_many_files_are_not_all_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECES", 12)
    opened = []
    real = sources.open_ranges
    monkeypatch.setattr(module, "open_ranges", lambda path: opened.append(path) or real(path))
    parts = [log(10, seed=seed) for seed in range(60)]
    found = surveyed(tmp_path, *parts)
    assert len(opened) <= 12
    assert found.source_bytes == sum(map(len, parts))
    assert found.n_rows == pytest.approx(60 * 200, rel=0.05)
    assert found.n_users == pytest.approx(600, rel=0.15)


@pytest.mark.parametrize("n_files", [1, 30])
def test_packed_files_are_looked_into(tmp_path, n_files):
    data = log(200)
    found = surveyed(tmp_path, *[gzip.compress(data)] * n_files, ending=".gz")
    assert found.source_bytes == pytest.approx(n_files * len(data), rel=0.02)
    assert found.n_rows == pytest.approx(n_files * 4000, rel=0.02)
    assert found.artist_bytes < 20


@pytest.mark.parametrize("data", [b"\n", b"bad", b"\xef\xbb\xbf", b"x" * 3_000_000])
def test_a_source_without_rows_has_a_shape_all_the_same(tmp_path, data):
    found = surveyed(tmp_path, data)
    assert found.source_bytes == len(data)
    assert min(found.n_rows, found.n_users, found.n_artists, found.row_bytes) >= 1


def test_the_curve_is_the_mean_of_random_parts():
    rng = np.random.default_rng(0)
    names = [f"artist {number}" for number in rng.zipf(1.5, 6400).tolist()]
    curve, _, most = module._distinct([pa.array(names[:3000]), pa.array(names[3000:])])
    assert most == max(Counter(names).values())
    for rows, distinct in curve:
        share = rows / len(names)
        parts = [len({*(names[i] for i in np.flatnonzero(rng.random(6400) < share))}) for _ in range(60)]
        assert distinct == pytest.approx(np.mean(parts), abs=4 * np.std(parts) / np.sqrt(60) + 1e-9)


def ids(path, users, artists, **options):
    table = pa.table({"user": users, "artist": artists, "plays": np.ones(len(users), np.int32)})
    pq.write_table(table, path, row_group_size=5000, **options)
    return survey(sources.find([path]), resolve(sources.find([path]), SchemaOptions()))


def test_integers_are_no_more_than_their_bounds_allow(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SAMPLE_ROWS", 1000)
    rng = np.random.default_rng(0)
    users, artists = np.repeat(np.arange(200, 600), 100), rng.integers(7, 1507, 40_000)
    found = ids(tmp_path / "stated.parquet", users, artists)
    assert (found.n_users, found.n_artists) == (400, 1500)
    without = ids(tmp_path / "without.parquet", users, artists, write_statistics=False)
    assert without.n_artists > 1500
    texts = ids(tmp_path / "texts.parquet", users, artists.astype(str))
    assert texts.n_users == 400
    assert texts.n_artists == without.n_artists


def test_every_file_must_state_the_bounds(tmp_path):
    for name, first, stated in (("a", 0, True), ("b", 500, False)):
        ids(
            tmp_path / f"{name}.parquet",
            np.arange(first, first + 300),
            np.arange(300),
            write_statistics=stated,
        )
    files = sources.find([tmp_path])
    assert most_distinct(files[:1], "parquet", "user") == 300
    assert most_distinct(files, "parquet", "user") is None


def test_a_block_has_no_fewer_artists_than_the_sample_says(tmp_path):
    """Where a block has many rows and most names are rare, twice the root of the rows is too few."""
    rng = np.random.default_rng(1)
    artists = (2000 ** rng.random(400_000)).astype(np.int64)
    found = ids(tmp_path / "rare.parquet", np.repeat(np.arange(4000), 100), artists)
    assert found.columnar
    block_bytes = 2000 * ROW_BYTES
    _, n = block_names(found, block_bytes)
    distinct = len(np.unique(artists[:2000]))
    assert distinct <= n <= 2 * distinct
    assert block_names(replace(found, artist_curve=()), block_bytes)[1] < distinct


def test_rows_of_a_columnar_piece_are_more_than_lines_of_text():
    """What `EncodeBlock.pieces` reads at once."""
    text = SourceShape(16 << 24, 1 << 24, 1000, 1000)
    settings = IngestSettings(2, block_bytes=16 << 20, piece_lines=1 << 18)
    assert piece_rows(text, settings) == piece_lines(text, settings) == 1 << 18
    columnar = replace(text, columnar=True)
    assert piece_rows(columnar, settings) == 1 << 20
    assert assemble_bytes(columnar, settings) > assemble_bytes(text, settings)

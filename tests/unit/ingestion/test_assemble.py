"""The matrix: places of rows, sums that are exact and rounded once, medians, gaps closed, and its files' headers."""

from __future__ import annotations

import random

import numpy as np
import pytest
from reference import map_rows, read_log
from scipy.sparse import csr_matrix
from stages import Work, build

from lastfm_dask.dataset import layout
from lastfm_dask.ingestion.assemble import _medians, row_chunks
from lastfm_dask.ingestion.placing import places_of
from lastfm_dask.interactions.schema import Schema

SCHEMA = Schema(("user", "artist", "plays"))


def log_of(
    seed: int, n_rows: int = 300, n_users: int = 9, n_artists: int = 12, most: int = 2**31 - 1
) -> bytes:
    rng = random.Random(seed)
    rows = [(rng.randrange(n_users), rng.randrange(n_artists), rng.randint(1, most)) for _ in range(n_rows)]
    if seed % 2:
        rows.sort(key=lambda row: (row[0], -row[2]))
    return b"".join(b"user%d\tartist%d\t%d\n" % row for row in rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "work",
    [
        Work(),
        Work(90, 1, 3, 1, 2),
        Work(700, 2, 50, 40, 3),
        Work(2000, 3, 9, 299, 1),
        Work(piece_lines=7, chunk_rows=5),
    ],
)
def test_any_order_of_rows_gives_the_sums_that_scipy_gives(tmp_path, seed, work):
    data = log_of(seed)
    built = build(tmp_path, [data], SCHEMA, work)
    mapped = map_rows(read_log(data, SCHEMA).rows, SCHEMA)
    rows = [(mapped.users[u], mapped.artists[a], n) for u, _, a, n in read_log(data, SCHEMA).rows]
    users, artists, plays = map(np.array, zip(*rows, strict=True))
    wanted = csr_matrix(
        (plays.astype(np.int64), (users, artists)), shape=(len(mapped.users), len(mapped.artists))
    )
    wanted.sum_duplicates()
    indptr, indices, data_ = built.csr()
    assert np.array_equal(indptr, wanted.indptr)
    assert np.array_equal(indices, wanted.indices)
    assert np.array_equal(data_, wanted.data.astype(np.float32))
    assert built.assembled.nnz == wanted.nnz < len(rows)
    assert built.assembled.median_plays.tolist() == mapped.medians()


def test_sums_are_rounded_once(tmp_path):
    # In float32, 2^24 + 1 + 1 is 2^24 when it is added up row by row.
    built = build(tmp_path, [b"u\ta\t16777216\n" + b"u\ta\t1\n" * 2], SCHEMA, Work())
    assert built.csr()[2].tolist() == [2**24 + 2]
    assert build_one(tmp_path / "b", b"u\ta\t2147483647\nu\ta\t2147483647\n") == [
        float(np.float32(2**32 - 2))
    ]


def build_one(folder, data: bytes) -> list[float]:
    folder.mkdir()
    return build(folder, [data], SCHEMA, Work()).csr()[2].tolist()


def test_the_files_are_plain_npy_of_their_real_size(tmp_path):
    built = build(tmp_path, [log_of(0)], SCHEMA, Work(chunk_rows=7))
    for name, array in zip(layout.USER_ITEMS, built.csr(), strict=True):
        path = built.output / name
        again = np.load(path, mmap_mode="r", allow_pickle=False)
        assert again.offset + array.nbytes == path.stat().st_size
        assert again.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("seed", range(30))
def test_chunks_follow_each_other_and_keep_to_their_size(seed):
    rng = random.Random(seed)
    lengths = [rng.choice([1, 2, 5, 40]) for _ in range(rng.randint(1, 30))]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    chunk_rows, most_users = rng.randint(1, 50), rng.randint(1, 6)
    chunks = row_chunks(indptr, chunk_rows, most_users)
    assert [user for first, end in chunks for user in range(first, end)] == list(range(len(lengths)))
    for first, end in chunks:
        assert 1 <= end - first <= most_users
        assert end - first == 1 or sum(lengths[first:end]) <= chunk_rows


@pytest.mark.parametrize("seed", range(20))
def test_places_of_rows_are_those_of_counting_one_by_one(seed):
    rng = random.Random(seed)
    n_users = rng.randint(1, 6)
    order = [user for user in range(n_users) for _ in range(rng.randint(1, 4))]
    starts = np.cumsum([0, *[order.count(user) + seed % 3 for user in range(n_users - 1)]]) + 100
    rows = np.array([order.count(user) for user in range(n_users)])

    def counted(codes):
        free, found = starts.copy(), []
        for user in codes:
            found.append(free[user])
            free[user] += 1
        return found

    def placed(codes):
        place = places_of(starts, rows, np.array(codes, np.int32))
        return np.arange(10_000)[place].tolist()

    assert placed([]) == counted(order)
    rng.shuffle(order)
    assert placed(order) == counted(order)
    assert isinstance(places_of(starts, rows, np.zeros(0, np.int32)), slice) == (
        seed % 3 == 0 or n_users == 1
    )


def test_no_rows_have_no_place():
    empty = np.zeros(0, np.int64)
    assert np.arange(5)[places_of(empty, empty, np.zeros(0, np.int32))].tolist() == []


@pytest.mark.parametrize("falling", [True, False])
def test_medians_are_numpys_with_and_without_the_short_way(falling):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 50)
    rows = [rng.integers(1, 2**31 - 1, n, dtype=np.int32) for n in lengths]
    if falling:
        rows = [np.sort(row)[::-1] for row in rows]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    users = np.repeat(np.arange(50, dtype=np.uint64), lengths) << np.uint64(40)
    found = _medians(np.concatenate(rows), users, bounds)
    assert found.tolist() == [float(np.median(row.astype(np.int64))) for row in rows]

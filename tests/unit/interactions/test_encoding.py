"""An encoded block holds what its rows do, survives the trip through a process and the disk, and says what failed."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from reference import read_log

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.blocks import Block
from lastfm_dask.interactions.encoding import LISTS, EncodeBlock, column, encode, record_batch
from lastfm_dask.interactions.reader import read_rows
from lastfm_dask.interactions.schema import REASONS, Schema

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = Schema(("user", "mbid", "artist", "plays"), with_mbid=True)
RUNS = b"u\tm\tA\t5\nu\tm\ta\t2147483647\nu\t\ta\t2147483647\nbad\nv\tn\tA\t1\n"
MIXED = b"u\tm\tA\t5\nv\tm\tb\t1\nu\tm\tb\t1\n"


def encoded(data: bytes, schema: Schema = SCHEMA) -> pa.RecordBatch:
    return encode(read_rows(data, schema, file_start=True), schema, file=3)


def rows_of(batch: pa.RecordBatch) -> list[tuple[str, str, int]]:
    users, artists = (column(batch, name).to_pylist() for name in ("users", "artists"))
    codes = column(batch, "user_codes")
    if not len(codes):
        codes = np.repeat(np.arange(len(users)), column(batch, "user_rows"))
    cells = zip(codes, column(batch, "artist_codes"), column(batch, "plays").tolist(), strict=True)
    return [(users[user], artists[artist], n) for user, artist, n in cells]


@pytest.mark.parametrize("data", [RUNS, MIXED, b"bad\n", b"", MIXED + RUNS])
def test_codes_and_counts_say_what_the_rows_say(data):
    batch, log = encoded(data), read_log(data, SCHEMA)
    wanted = [(user, artist.lower(), plays) for user, _, artist, plays in log.rows]
    assert rows_of(batch) == wanted
    for role, place in (("user", 0), ("artist", 1)):
        names = column(batch, f"{role}s").to_pylist()
        rows, plays = Counter(), Counter()
        for name, n, total in zip(
            names,
            column(batch, f"{role}_rows").tolist(),
            column(batch, f"{role}_plays").tolist(),
            strict=True,
        ):
            rows[name] += n
            plays[name] += total
        assert rows == Counter(row[place] for row in wanted)
        assert plays == Counter({name: sum(r[2] for r in wanted if r[place] == name) for name in rows})
    ones = sum(plays == 1 for *_, plays in wanted)
    assert column(batch, "counts").tolist() == [3, log.n_lines, ones]
    assert [REASONS[reason] for reason in column(batch, "reject_reasons")] == [r for _, r, _ in log.rejects]
    assert column(batch, "reject_bytes").to_pylist() == [raw for *_, raw in log.rejects]


def test_users_in_runs_need_no_code_a_row():
    assert not len(column(encoded(RUNS), "user_codes"))
    assert len(column(encoded(MIXED), "user_codes")) == 3


def test_pairs_of_artist_and_mbid_are_counted():
    batch = encoded(RUNS + MIXED)
    mbids, artists = column(batch, "mbids").to_pylist(), column(batch, "artists").to_pylist()
    places = (column(batch, "mbid_artists"), column(batch, "mbid_codes"), column(batch, "mbid_rows").tolist())
    found: Counter[tuple[str, str]] = Counter()
    for artist, mbid, n in zip(*places, strict=True):
        found[artists[artist], mbids[mbid]] += n
    assert found == Counter((a.lower(), m) for _, m, a, _ in read_log(RUNS + MIXED, SCHEMA).rows)
    plain = Schema(SCHEMA.columns)
    assert not len(column(encoded(RUNS, plain), "mbids"))


def test_sums_are_exact_above_what_a_float_holds():
    n = 40
    data = b"u\t\ta\t2147483647\n" * n + b"u\t\ta\t1\n"
    assert column(encoded(data), "user_plays").tolist() == [n * 2147483647 + 1]


def test_case_is_kept_where_asked():
    kept = Schema(SCHEMA.columns, keep_case=True)
    assert column(encoded(RUNS, kept), "artists").to_pylist() == ["A", "a"]
    # Two spellings of one artist may stand twice; the index stage makes one of them.
    assert column(encoded(RUNS), "artists").to_pylist() == ["a", "a"]


def test_a_list_that_is_not_given_is_empty():
    batch = record_batch({"plays": [1, 2]})
    assert batch.num_rows == 1
    assert {name: len(column(batch, name)) for name in LISTS} == dict.fromkeys(LISTS, 0) | {"plays": 2}


def test_the_task_and_its_result_travel(tmp_path):
    path = tmp_path / "log.tsv"
    path.write_bytes(MIXED + RUNS)
    task = pickle.loads(pickle.dumps(EncodeBlock((str(path),), SCHEMA)))
    (first,) = task(Block(0, 0, 0, len(MIXED)))
    (second,) = task(Block(1, 0, len(MIXED), len(MIXED + RUNS)))
    assert pickle.loads(pickle.dumps(first)).equals(first)
    assert rows_of(first) + rows_of(second) == rows_of(encoded(MIXED + RUNS))
    assert task(Block(0, 0, 0, 0, lines=MIXED)) == [first]
    assert task(Block(0, 0, 0, len(MIXED))) == [first]


def test_a_file_that_is_gone_is_named(tmp_path):
    task = EncodeBlock((str(tmp_path / "gone.tsv"),), SCHEMA)
    with pytest.raises(BadInputError, match=r"gone\.tsv can't be read any more"):
        task(Block(7, 0, 10, 20))

"""Events and real values against dictionaries filled in file order, however the work is cut and ordered."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import Work, build

from lastfm_dask.dataset import layout
from lastfm_dask.ingestion.summarize import dataset_statistics, reconcile
from lastfm_dask.interactions.schema import Schema

EVENTS = Schema(("user", "time", "artist"), events=True)
RATINGS = Schema(("user", "artist", "plays", "time"), values="float")
names = st.sampled_from(["u", "v", "w", "A", "a", "B b", "É", "x" * 30])
times = st.integers(-(10**10), 10**13) | st.integers(-(10**18), 10**18)
works = st.builds(
    Work,
    block_bytes=st.integers(8, 200),
    seed=st.integers(0, 99),
    batch_names=st.integers(1, 8),
    chunk_rows=st.integers(1, 12),
    threads=st.integers(1, 3),
)


def milliseconds(time: int) -> int:
    for unit, most in ((1000, 10**11), (1, 10**14), (1 / 1000, 10**17)):
        if abs(time) < most:
            return time * unit if unit >= 1 else time // 1000
    return time // 1_000_000


def pairs_of(rows):
    """Return users and artists in order of first appearance, and what each pair has: values and times."""
    users, artists, pairs = {}, {}, {}
    for user, artist, value, time in rows:
        pair = (users.setdefault(user, len(users)), artists.setdefault(artist.lower(), len(artists)))
        pairs.setdefault(pair, []).append((value, milliseconds(time)))
    return users, artists, dict(sorted(pairs.items()))


def check_times(output: Path, pairs) -> None:
    first, last = (np.load(output / name) for name in layout.LISTENS)
    assert (first.dtype, last.dtype) == (np.int64, np.int64)
    assert first.tolist() == [min(time for _, time in found) for found in pairs.values()]
    assert last.tolist() == [max(time for _, time in found) for found in pairs.values()]


@given(rows=st.lists(st.tuples(names, names, st.just(1), times), min_size=1, max_size=40), work=works)
@settings(max_examples=40)
def test_events_are_counted_by_pair_and_statistics_are_over_pairs(rows, work):
    data = "".join(f"{user}\t{time}\t{artist}\n" for user, artist, _, time in rows).encode()
    users, artists, pairs = pairs_of(rows)
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder), [data, b"bad\n"], EVENTS, work)
        check_times(built.output, pairs)
        indptr, indices, counts = built.csr()
        tables = built.table(layout.USERS), built.table(layout.ARTISTS)
    assert counts.tolist() == [len(found) for found in pairs.values()]
    assert indices.tolist() == [artist for _, artist in pairs]
    assert indptr.tolist() == [sum(user < u for user, _ in pairs) for u in range(len(users) + 1)]
    by_user = [[len(pairs[pair]) for pair in pairs if pair[0] == u] for u in range(len(users))]
    assert tables[0] == {
        "user": list(users),
        "n_artists": [len(plays) for plays in by_user],
        "plays": [sum(plays) for plays in by_user],
        "median_plays": [float(statistics.median(plays)) for plays in by_user],
    }
    assert tables[1]["artist"] == list(artists)
    assert tables[1]["listeners"] == [sum(artist == a for _, artist in pairs) for a in range(len(artists))]
    found = dataset_statistics(built.found, built.assembled)
    assert (found["rows_read"], found["rows_kept"], found["plays_total"]) == (
        len(rows) + 1,
        len(rows),
        len(rows),
    )
    assert found["played_once"] == sum(len(found) == 1 for found in pairs.values())
    assert found["played_once_share"] == found["played_once"] / len(pairs)
    summary = reconcile(built.found, built.assembled, ["a", "b"])
    assert summary["rows_kept"] == summary["nnz"] + summary["rows_summed"]


values = st.floats(2.0**-20, 2.0**20, width=32)


@given(rows=st.lists(st.tuples(names, names, values, times), min_size=1, max_size=40), work=works)
@settings(max_examples=40)
def test_real_values_are_summed_in_float64_and_rounded_once(rows, work):
    data = "".join(f"{user}\t{artist}\t{value!r}\t{time}\n" for user, artist, value, time in rows).encode()
    users, _, pairs = pairs_of(rows)
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder), [data], RATINGS, work)
        check_times(built.output, pairs)
        sums = built.csr()[2]
        table = built.table(layout.USERS)
    wanted = np.array([sum(value for value, _ in found) for found in pairs.values()])
    assert sums.dtype == np.float32
    np.testing.assert_allclose(sums, wanted, rtol=1e-7)
    by_user = [[value for user, _, value, _ in rows if user == name] for name in users]
    assert table["n_artists"] == [len(found) for found in by_user]
    # Row by row, in file order: the very sums.
    assert table["plays"] == [sum(found) for found in by_user]
    assert table["median_plays"] == [statistics.median(found) for found in by_user]
    found = dataset_statistics(built.found, built.assembled)
    assert found["played_once"] == sum(value == 1 for *_, value, _ in rows)
    assert found["plays_total"] == pytest.approx(sum(map(sum, by_user)))


@given(
    rows=st.lists(st.tuples(names, names, values, times), min_size=1, max_size=40),
    works=st.tuples(works, works),
)
@settings(max_examples=20)
def test_the_same_bytes_however_the_work_is_cut(rows, works):
    data = "".join(f"{user}\t{artist}\t{value!r}\t{time}\n" for user, artist, value, time in rows).encode()
    found = []
    for work in works:
        with tempfile.TemporaryDirectory() as folder:
            found.append(build(Path(folder), [data], RATINGS, work).bytes())
    assert found[0] == found[1]
    assert layout.FIRST_LISTEN in found[0]

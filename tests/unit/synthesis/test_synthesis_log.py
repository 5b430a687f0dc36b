"""The synthetic log's shape and quirks, at a small size; the figures are the published log's, the tolerances derived."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from reference import read_log

from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.interactions.schema import Schema
from lastfm_dask.synthesis import LogSize, write_log
from lastfm_dask.synthesis.lists import MAX_PLAYS
from lastfm_dask.synthesis.names import LEADING
from lastfm_dask.synthesis.texts import DATES

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.synthesis import LogSummary

SIZE = LogSize.for_users(4_000)


class Log:
    """A log that was written, split the plain way: the oracle."""

    def __init__(self, path: Path, summary: LogSummary) -> None:
        self.path = path
        self.summary = summary
        self.raw = path.read_bytes()
        fields = [line.split("\t") for line in self.raw.decode().removesuffix("\n").split("\n")]
        assert {len(row) for row in fields} == {4}
        self.users, self.mbids, self.artists = ([row[i] for row in fields] for i in range(3))
        self.plays = [int(row[3]) for row in fields]
        self.lists = Counter(self.users)
        self.listeners = Counter(self.artists)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    path = tmp_path_factory.mktemp("synthesis") / "log.tsv"
    return Log(path, write_log(path, SIZE, seed=1))


def test_has_the_size_asked_for_and_says_so(log: Log) -> None:
    names = set(log.artists) - {""}
    assert (
        (log.summary.rows, log.summary.users)
        == (len(log.users), len(log.lists))
        == (SIZE.n_rows, SIZE.n_users + 2)
    )
    assert log.summary.artists_as_written == len(names)
    assert log.summary.artists == len({name.lower() for name in names}) < len(names)
    assert log.summary.plays_total == sum(log.plays)
    assert log.summary.size_bytes == len(log.raw)
    # Those of many listeners are drawn: one with nine expected is missed once in exp(9) times.
    assert SIZE.n_artists * 0.999 <= len(names) <= SIZE.n_artists


def test_rows_are_grouped_by_user_with_plays_falling(log: Log) -> None:
    turns = [i for i in range(1, len(log.users)) if log.users[i] != log.users[i - 1]]
    assert len(turns) + 1 == len(log.lists)
    plays, starts = np.array(log.plays), np.array(turns)
    falls = np.ones(len(plays), bool)
    falls[1:] = plays[1:] <= plays[:-1]
    falls[starts] = True
    assert falls.all()
    ties = np.flatnonzero(plays[1:] == plays[:-1])
    assert len(np.setdiff1d(ties + 1, starts)) > 0


def test_user_ids_are_sha1_but_for_two_dates(log: Log) -> None:
    odd = {user for user in log.lists if not re.fullmatch("[0-9a-f]{40}", user)}
    assert odd == set(DATES)
    assert all(0 < log.lists[date] < 50 for date in DATES)


def test_lists_have_the_real_lengths(log: Log) -> None:
    lengths = np.array([n for user, n in log.lists.items() if user not in DATES], float)
    assert lengths.mean() == pytest.approx(
        (SIZE.n_rows - sum(log.lists[date] for date in DATES)) / SIZE.n_users
    )
    deviations = (lengths - lengths.mean()) / lengths.std()
    standard_error = lengths.std() * math.sqrt(((deviations**4).mean() - 1) / (4 * len(lengths)))
    assert abs(lengths.std(ddof=1) - 8.5) < 4 * standard_error


def test_popularity_has_the_real_shape(log: Log) -> None:
    n_users = len(log.lists)
    (_, most), *_ = log.listeners.most_common(1)
    # The top one is the highest of several near ones: allow for it upwards.
    standard_error = math.sqrt(0.21 * 0.79 / n_users)
    assert -4 * standard_error < most / n_users - 0.21 < 6 * standard_error
    assert {name for name, _ in log.listeners.most_common(5)} <= set(LEADING[:12])
    few = sum(n <= 2 for n in log.listeners.values()) / len(log.listeners)
    assert few == pytest.approx(0.5, abs=0.03)


def test_shares_of_single_plays_and_missing_mbids(log: Log) -> None:
    user_number = np.unique(log.users, return_inverse=True)[1]
    once = np.bincount(user_number, weights=np.array(log.plays) == 1)
    # Rows of one listener go together, so the listeners are the sample: the ratio estimator's standard error.
    rows = np.bincount(user_number)
    share = once.sum() / rows.sum()
    standard_error = np.std(once - share * rows) / rows.mean() / math.sqrt(len(rows))
    assert abs(share - 0.0084) < 4 * standard_error
    assert log.mbids.count("") / len(log.mbids) == pytest.approx(0.013, abs=2 * 8 / len(log.mbids) + 1e-4)


def test_mbids_have_their_form_and_some_artists_have_two(log: Log) -> None:
    pattern = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert all(pattern.fullmatch(mbid) for mbid in set(log.mbids) - {""})
    by_artist: dict[str, set[str]] = {}
    for artist, mbid in zip(log.artists, log.mbids, strict=True):
        by_artist.setdefault(artist, set()).add(mbid)
    assert max(map(len, by_artist.values())) == 2
    assert sum(len(found) == 2 for found in by_artist.values()) > 1


def test_holds_each_quirk(log: Log) -> None:
    assert log.plays.count(0) == 1
    assert log.artists.count("") == 1
    assert max(log.plays) == MAX_PLAYS
    names = set(log.artists)
    assert {
        "nan",
        "null",
        "none",
        "n/a",
        "koЯn",
        "die Ärzte",
        " leading blank",
        '"weird al" yankovic',
    } <= names
    assert any(name.startswith('"') and name.count('"') == 1 for name in names)
    assert 1 <= sum("\r" in name for name in log.artists) <= 20
    assert all((name == name.strip("\n") and name.isprintable()) or "\r" in name for name in names - {""})
    lowered = Counter(name.lower() for name in names)
    assert max(lowered.values()) == 2


def test_a_reader_that_honours_quotes_loses_rows(log: Log) -> None:
    text = log.raw.decode().replace("\r", "")
    kept = {
        quoting: sum(1 for _ in csv.reader(text.splitlines(), delimiter="\t", quoting=quoting))
        for quoting in (csv.QUOTE_NONE, csv.QUOTE_MINIMAL)
    }
    assert kept[csv.QUOTE_NONE] == SIZE.n_rows
    assert kept[csv.QUOTE_MINIMAL] < SIZE.n_rows


def test_listeners_have_tastes(log: Log) -> None:
    chosen = {name: i for i, (name, _) in enumerate(log.listeners.most_common(300)[100:])}
    users = {user: i for i, user in enumerate(log.lists)}
    heard = np.zeros((len(users), len(chosen)))
    for user, artist in zip(log.users, log.artists, strict=True):
        if artist in chosen:
            heard[users[user], chosen[artist]] = 1
    together = heard.T @ heard
    expected = np.outer(heard.sum(0), heard.sum(0)) / len(users)
    apart = ~np.eye(len(chosen), dtype=bool)
    # Were the artists drawn independently, Pearson's statistic would be one a pair.
    assert ((together - expected) ** 2 / expected)[apart].mean() > 3


def test_refuses_what_exists_and_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        write_log(path, LogSize.for_users(3))
    assert [p.name for p in tmp_path.iterdir()] == ["log.tsv"]
    assert path.read_text() == "mine"


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_log(tmp_path / "log.tsv", LogSize.for_users(3), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_reports_progress_up_to_the_last_row(tmp_path: Path) -> None:
    seen: list[int] = []
    write_log(tmp_path / "log.tsv", LogSize.for_users(1_500), progress=seen.append)
    assert seen == sorted(set(seen))
    assert len(seen) > 1
    assert seen[-1] == LogSize.for_users(1_500).n_rows


@pytest.mark.parametrize("n_rejects", [0, 1, 9, 400])
def test_rejects_are_spread_evenly_over_the_log_whatever_the_threads(tmp_path: Path, n_rejects: int) -> None:
    size = LogSize.for_users(1_200, n_rejects=n_rejects)
    paths = [tmp_path / "one.tsv", tmp_path / "many.tsv"]
    for path, threads in zip(paths, (1, 3), strict=True):
        write_log(path, size, seed=2, n_threads=threads)
    lines = paths[0].read_bytes().split(b"\n")[:-1]
    assert paths[1].read_bytes() == paths[0].read_bytes()
    assert len(lines) == size.n_rows
    found = read_log(paths[0].read_bytes(), Schema(("user", "mbid", "artist", "plays"))).rejects
    places = [number - 1 for number, _, _ in found]
    assert places == [(2 * k + 1) * size.n_rows // (2 * n_rejects) for k in range(n_rejects)]
    reasons = ["empty_artist", "plays_out_of_range", "field_count", "plays_not_a_number"]
    assert [reason for _, reason, _ in found] == [reasons[k % 4] for k in range(n_rejects)]


def test_more_rejects_than_rows_are_refused() -> None:
    with pytest.raises(BadInputError, match="11 rejects in 10 rows: choose 0 to 10"):
        LogSize(2, 5, 10, n_rejects=11)


@pytest.mark.parametrize("n_rejects", [None, 9])
def test_parquet_holds_the_rows_of_the_text(tmp_path: Path, n_rejects: int | None) -> None:
    size = LogSize.for_users(1_500, n_rejects=n_rejects)
    as_text = write_log(tmp_path / "log.tsv", size, seed=3)
    as_parquet = write_log(tmp_path / "log.parquet", size, seed=3, parquet=True, n_threads=1)

    table = pq.read_table(tmp_path / "log.parquet")
    lines = (tmp_path / "log.tsv").read_bytes().decode().split("\n")[:-1]
    rows = [tuple(line.split("\t")) for line in lines]

    assert replace(as_parquet, size_bytes=0) == replace(as_text, size_bytes=0)
    assert table.column_names == ["user", "mbid", "artist", "plays"]
    for row, line in zip(
        zip(*(column.to_pylist() for column in table.columns), strict=True), rows, strict=True
    ):
        if row[3] is None:
            assert row[:3] == line[:3]
            assert len(line) == 3 or line[3].startswith("\r")
        else:
            assert (*row[:3], str(row[3])) == line

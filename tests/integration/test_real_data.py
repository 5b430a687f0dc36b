"""The real excerpt and HetRec 2K against DuckDB, against pandas as the notebook used it, and against what is published.

Skipped without LASTFM_DASK_DATA. No row of the data stands here: figures of its description do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from command_line import succeed, succeed_json
from scipy.sparse import csr_matrix

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.dataset import Dataset

if TYPE_CHECKING:
    from pathlib import Path

HEAD10K = "lastfm360k_head10k/usersha1-artmbid-artname-plays.tsv"


@pytest.fixture(scope="module")
def sources(real_data) -> dict[str, tuple[list[object], Path, str]]:
    """By data set: what `ingest` is given, the log, and how DuckDB and pandas read it."""
    hetrec = real_data / "hetrec_lastfm2k"
    return {
        "head10k": ([real_data / HEAD10K], real_data / HEAD10K, "user,mbid,artist,plays"),
        "hetrec": (
            [hetrec / "user_artists.dat", "--format", "hetrec-2k"],
            hetrec / "user_artists.dat",
            "user,artist,plays",
        ),
    }


@pytest.fixture(scope="module", params=["head10k", "hetrec"])
def read(request, sources, tmp_path_factory) -> tuple[dict[str, Any], Dataset, pd.DataFrame]:
    """What `ingest --json` said, the dataset, and the rows as the notebook's pandas holds them."""
    arguments, path, columns = sources[request.param]
    output = tmp_path_factory.mktemp(request.param) / "x.dataset"
    said = succeed_json("ingest", *arguments, "-o", output, "--block-size", "100KiB")
    rows = pd.read_csv(
        path,
        sep="\t",
        header=0 if request.param == "hetrec" else None,
        names=columns.split(","),
        usecols=["user", "artist", "plays"],
        dtype={"user": str, "artist": str, "plays": np.int64},
        # Without these two pandas loses the names that begin with a quote, and those that look like missing values.
        quoting=3,
        keep_default_na=False,
        lineterminator="\n" if request.param == "head10k" else None,
    )
    # Not .str.lower(): on Arrow's strings pandas makes "ilhan" of "İlhan", and Python does not.
    rows["artist"] = rows["artist"].map(str.lower)
    return said, Dataset(output), rows


def same(found: dict[str, Any], series: pd.Series) -> None:
    wanted = series.describe()
    assert list(found) == list(wanted.index)
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, rel=1e-12, abs=1e-12), key


def test_statistics_are_the_notebooks(read):
    said, _, rows = read
    assert said["rows_read"] == said["rows_kept"] == len(rows)
    assert (said["users"], said["artists"]) == (rows["user"].nunique(), rows["artist"].nunique())
    assert said["plays_total"] == rows["plays"].sum()
    assert said["played_once"] == (rows["plays"] == 1).sum()
    assert said["nnz"] == len(rows.drop_duplicates(["user", "artist"]))
    by_user = rows.groupby("user", sort=False)
    same(said["artists_per_user"], by_user["artist"].count())
    same(said["median_plays_per_user"], by_user["plays"].median())
    assert said["dense_bytes"] == said["users"] * said["artists"]


def test_the_most_heard_are_the_notebooks_with_ties_by_first_appearance(read):
    said, _, rows = read
    by_artist = rows.groupby("artist", sort=False)["plays"].agg(["count", "sum"])
    ranked = by_artist.sort_values("count", ascending=False, kind="stable").head(30)
    found = [(artist["artist"], artist["listeners"], artist["plays"]) for artist in said["top_artists"]]
    assert found == list(ranked.itertuples(name=None))


def test_the_matrix_is_the_notebooks(read):
    _, dataset, rows = read
    user_ids, users = pd.factorize(rows["user"])
    artist_ids, artists = pd.factorize(rows["artist"])
    assert dataset.users.names(range(dataset.n_users)) == list(users)
    assert dataset.artists.names(range(dataset.n_artists)) == list(artists)
    wanted = csr_matrix(
        (rows["plays"], (user_ids, artist_ids)), shape=(len(users), len(artists)), dtype=np.int64
    )
    wanted.sum_duplicates()
    found = dataset.user_items
    assert np.array_equal(found.indptr, wanted.indptr)
    assert np.array_equal(found.indices, wanted.indices)
    assert np.array_equal(found.data, wanted.data.astype(np.float32))


def test_tables_are_those_of_duckdb(read, sources):
    _, dataset, _ = read
    name = "hetrec" if dataset.manifest.content["settings"]["format"] == "hetrec-2k" else "head10k"
    _, path, columns = sources[name]
    types = (
        "{"
        + ", ".join(f"'{c}': '{'BIGINT' if c == 'plays' else 'VARCHAR'}'" for c in columns.split(","))
        + "}"
    )
    header = str(name == "hetrec").lower()
    log = (
        f"read_csv('{path}', delim='\t', quote='', escape='', header={header}, columns={types}, nullstr='\x01',"
        " auto_detect=false, parallel=false)"
    )
    with duckdb.connect() as connection:
        connection.create_function("python_lower", str.lower, ["VARCHAR"], "VARCHAR")
        connection.execute(
            f"create table log as select row_number() over () as n, user, artist, plays from {log}"
        )
        users = connection.execute(
            'select "user", count(*), sum(plays)::bigint, median(plays) from log group by 1 order by min(n)'
        ).fetchall()
        artists = connection.execute(
            "select python_lower(artist), count(*), sum(plays)::bigint from log group by 1 order by min(n)"
        ).fetchall()
        for table, file in ((users, layout.USERS), (artists, layout.ARTISTS)):
            found = connection.execute(f"select * from '{dataset.path / file}'").fetchall()
            assert found == table


def test_the_excerpt_has_the_figures_of_its_description(real_data, tmp_path):
    log = real_data / HEAD10K
    found = succeed_json("ingest", log, "-o", tmp_path / "x", "--with-mbid", "--keep-case")
    rows = [line.split(b"\t") for line in log.read_bytes().splitlines()]
    assert found["rows_kept"] == len(rows) == 10_000
    assert found["users"] == len({row[0] for row in rows}) == 205
    assert found["artists"] == len({row[2] for row in rows}) == 5_460
    assert found["plays_total"] == sum(int(row[3]) for row in rows) == 1_945_285
    assert found["reconciliation"]["n_users_not_sha1"] == 0
    table = duckdb.sql(f"select mbid, n_mbids, listeners from '{tmp_path / 'x' / layout.ARTISTS}'").fetchall()
    assert len({mbid for mbid, _, _ in table if mbid}) <= len({row[1] for row in rows if row[1]}) == 5_318
    assert sum(listeners for _, _, listeners in table) == 10_000
    heard = {artist["artist"]: artist["listeners"] for artist in found["top_artists"]}
    published = {
        "radiohead": 54,
        "coldplay": 38,
        "the beatles": 37,
        "muse": 29,
        "sigur rós": 25,
        "bob dylan": 25,
    }
    assert list(heard.items())[: len(published)] == list(published.items())
    assert heard["metallica"] == 22
    plays = {
        artist["artist"]: artist["plays"]
        for artist in succeed_json("stats", tmp_path / "x", "--top", 9999)["top_artists"]
    }
    assert (plays["radiohead"], plays["nine inch nails"]) == (24_153, 18_259)
    assert plays["the most serene republic"] == 12_763
    # A default CSV reader takes this name's quotes away; here they are part of it.
    assert '"weird al" yankovic' in plays


def test_hetrec_shows_its_artists_names(real_data, tmp_path):
    folder = real_data / "hetrec_lastfm2k"
    arguments = ("--format", "hetrec-2k", "--artist-names", folder / "artists.dat")
    found = succeed_json(
        "ingest", folder / "user_artists.dat", *arguments, "--keep-case", "-o", tmp_path / "x"
    )
    assert (found["rows_kept"], found["users"], found["artists"]) == (92_834, 1_892, 17_632)
    assert (found["nnz"], found["plays_total"]) == (92_834, 69_183_975)
    heard = [(artist["artist"], artist["listeners"]) for artist in found["top_artists"][:4]]
    assert heard == [("Lady Gaga", 611), ("Britney Spears", 522), ("Rihanna", 484), ("The Beatles", 480)]
    names = Dataset(tmp_path / "x").artists.names(range(17_632))
    assert len(set(names)) == 17_632


def test_a_listener_of_the_excerpt_can_be_shown_and_one_added(real_data, tmp_path):
    log = real_data / HEAD10K
    likes = ("--like", "black eyed peas=30", "--like", "Sigur Rós=7")
    said = succeed_json("ingest", log, "-o", tmp_path / "x", "--add-user", "zimin", *likes)
    rows = succeed_json("stats", tmp_path / "x", "--user", "zimin")["rows"]
    assert [(row["artist"], row["plays"]) for row in rows] == [("black eyed peas", 30), ("sigur rós", 7)]
    assert (said["rows_kept"], said["users"], said["nnz"]) == (10_000, 206, 10_002)
    assert "zimin" in succeed("stats", tmp_path / "x", "--user", "zimin")

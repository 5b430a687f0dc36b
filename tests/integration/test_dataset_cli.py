"""A listener added by hand, `stats`, `stats --user` and `plan` as people run them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from command_line import fail, succeed, succeed_json
from ingesting import lines
from reference import map_rows, read_log

from lastfm_dask.dataset.dataset import Dataset
from lastfm_dask.interactions.formats import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

LOG = b"".join(lines())
SCHEMA = FORMATS["lastfm-360k"]
MAPPED = map_rows(read_log(LOG, SCHEMA).rows, SCHEMA)


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.tsv"
    path.write_bytes(LOG)
    return path


@pytest.fixture(scope="module")
def dataset(log) -> Path:
    likes = [part for like in ("BJÖRK=30", "=", "u2", "U2=7") for part in ("--like", like)]
    output = log.parent / "x.dataset"
    succeed("ingest", log, "-o", output, "--add-user", "zimin", *likes)
    return output


def test_an_added_listener_comes_last_and_is_counted_apart(dataset):
    opened = Dataset(dataset)
    index = opened.users.index("zimin")
    assert (index, opened.n_users) == (len(MAPPED.users), len(MAPPED.users) + 1)
    row = opened.user_items[index]
    found = dict(zip(opened.artists.names(row.indices), row.data.tolist(), strict=True))
    assert found == {"björk": 30, "=": 30, "u2": 37}
    assert opened.user_items[:index].nnz == len(MAPPED.plays)
    summary = opened.manifest.content["reconciliation"]
    assert (summary["users_added"], summary["rows_added"]) == (1, 4)
    assert summary["rows_read"] == summary["rows_kept"] == LOG.count(b"\n")
    assert summary["nnz"] == summary["rows_kept"] + 4 - summary["rows_summed"] == opened.user_items.nnz
    said = succeed("stats", dataset)
    assert f"{len(MAPPED.users) + 1:,}" in said


def test_a_known_listener_and_unknown_favourites_are_refused(log, tmp_path):
    known = next(iter(MAPPED.users))
    said = fail(6, "ingest", log, "-o", tmp_path / "x", "--add-user", known, "--like", "u2")
    assert "already" in said
    unknown = ("--like", "sigur ros", "--like", "radiohaed=4", "--like", "u2", "--like", "\udcff")
    said = fail(6, "ingest", log, "-o", tmp_path / "x", "--add-user", "zimin", *unknown)
    assert "'sigur rós'" in said
    assert "'radiohead'" in said
    fail(3, "ingest", log, "-o", tmp_path / "x", "--add-user", "zimin", "--like", "u2=0")
    assert not list(tmp_path.iterdir())


def test_stats_says_what_ingest_said_with_as_many_artists_as_asked_for(dataset):
    found = succeed_json("stats", dataset)
    assert found == Dataset(dataset).statistics
    listeners = Counter({artist: len(plays) for artist, plays in enumerate(MAPPED.artist_plays)})
    for artist, n in (("björk", 1), ("=", 1), ("u2", 2)):
        listeners[MAPPED.artists[artist]] += n
    names = list(MAPPED.artists)
    ranked = [(names[j], n) for j, n in sorted(listeners.items(), key=lambda pair: (-pair[1], pair[0]))]
    for top in (0, 3, 50, 10_000):
        shown = succeed_json("stats", dataset, "--top", top)["top_artists"]
        assert [(artist["artist"], artist["listeners"]) for artist in shown] == ranked[:top]
    said = succeed("stats", dataset)
    for words in (
        "the most heard artists",
        ranked[0][0],
        ranked[29][0],
        "artists per user",
        "median plays",
        "CSR",
    ):
        assert words in said


def test_stats_of_one_user_lists_what_was_played_most_first(dataset):
    user = list(MAPPED.users)[3]
    found = succeed_json("stats", dataset, "--user", user)
    row = {artist: n for (u, artist), n in MAPPED.plays.items() if u == 3}
    names = list(MAPPED.artists)
    wanted = [
        {"artist": names[artist], "index": artist, "plays": n}
        for artist, n in sorted(row.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    assert found == {"user": user, "index": 3, "rows": wanted}
    assert names[found["rows"][0]["index"]] in succeed("stats", dataset, "--user", user)
    assert "zimin" in fail(6, "stats", dataset, "--user", "zimim")
    fail(5, "stats", dataset / "none")


def test_a_plan_is_told_without_work_and_refuses_what_does_not_fit(log, tmp_path):
    found = succeed_json("plan", log, "--threads", 2, "--block-size", "8MiB", cwd=tmp_path)
    assert (found["threads"], found["block_bytes"]) == (min(2, found["threads"]), 8 << 20)
    assert found["source"]["source_bytes"] == len(LOG)
    assert found["source"]["rows"] == LOG.count(b"\n")
    assert found["source"]["users"] == len(MAPPED.users)
    stages = {stage["stage"]: stage["projected_bytes"] for stage in found["stages"]}
    assert list(stages) == ["scan", "index", "assemble", "summarize", "publish"]
    assert max(stages.values()) <= found["allowed_bytes"]
    said = succeed("plan", log, cwd=tmp_path)
    assert all(stage in said for stage in stages)
    refusal = fail(4, "plan", log, "--memory", "20MiB", cwd=tmp_path)
    smallest = int(refusal.split(" bytes or more")[0].split()[-1])
    for command in (("plan", log), ("ingest", log, "-o", tmp_path / "x")):
        # What a process holds before its data differs by some pages from one to the next.
        succeed(*command, "--memory", smallest + (2 << 20), cwd=tmp_path)
        fail(4, *command[:-1], tmp_path / "y", "--memory", "20MiB", cwd=tmp_path) if "-o" in command else None
    assert [path.name for path in tmp_path.iterdir()] == ["x"]

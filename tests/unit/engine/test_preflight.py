"""What is compared before a cluster works, and how it is said: pure, on made-up facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.engine.preflight import (
    DASK_LIMIT,
    PACKAGES,
    PAUSE_SHARE,
    WORKER_BYTES,
    facts_here,
    problems,
    scheduler_problems,
)
from lastfm_dask.memory.sizes import MIB

OURS = facts_here(lambda: {"/data/log.tsv": "10 bytes, etag a"})


def test_the_facts_of_this_process_suit_this_process():
    assert problems(OURS, {"tcp://a:1": OURS}, 64 * MIB) == []
    assert set(OURS.versions) == {"python", *PACKAGES}
    assert OURS.held_bytes > 0


@pytest.mark.parametrize("name", ["python", *PACKAGES])
def test_another_version_is_named_with_both(name):
    theirs = replace(OURS, versions={**OURS.versions, name: "0.0.1"})
    assert problems(OURS, {"tcp://a:1": theirs}, 0) == [
        f"worker tcp://a:1: {name} 0.0.1, here {OURS.versions[name]}"
    ]


def test_the_scheduler_needs_neither_pyarrow_nor_this_package():
    assert (
        scheduler_problems(OURS.versions, {k: OURS.versions[k] for k in ("python", "dask", "distributed")})
        == []
    )
    assert scheduler_problems(OURS.versions, {**OURS.versions, "dask": "1"}) == [
        f"scheduler: dask 1, here {OURS.versions['dask']}"
    ]


def test_all_that_is_wrong_comes_in_one_list():
    workers = {
        "tcp://a:1": replace(OURS, saw={"/data/log.tsv": "9 bytes, etag b"}),
        "tcp://b:1": replace(OURS, saw={}, failure="FileNotFoundError: /data/log.tsv"),
        "tcp://c:1": "gave no answer",
        "tcp://d:1": replace(OURS, usable={DASK_LIMIT: MIB, "memory.max": 2 * MIB}),
        "tcp://e:1": OURS,
    }
    found = problems(OURS, workers, 10 * MIB)
    assert [line.split()[1] for line in found] == [f"tcp://{name}:1:" for name in "abcdd"]
    assert "sees /data/log.tsv as 9 bytes, etag b, here it is 10 bytes, etag a" in found[0]
    assert "can't see the source: FileNotFoundError" in found[1]
    assert "--block-size" in found[3]


@given(
    held=st.integers(0, 1 << 30),
    n_threads=st.integers(1, 8),
    task=st.integers(0, 1 << 30),
    limit=st.integers(1, 1 << 33),
)
def test_memory_is_refused_exactly_where_the_projection_does_not_fit(held, n_threads, task, limit):
    theirs = replace(
        OURS, held_bytes=held, n_threads=n_threads, usable={DASK_LIMIT: int(limit * PAUSE_SHARE)}
    )
    under_way = WORKER_BYTES if task else 0
    fits = held + n_threads * task + under_way <= int(limit * PAUSE_SHARE)
    assert (problems(OURS, {"a": theirs}, task) == []) == fits


def test_a_check_that_fails_is_a_fact():
    def check():
        raise PermissionError(13, "Permission denied", "/data/log.tsv")

    facts = facts_here(check)
    assert facts.saw == {}
    assert facts.failure.startswith("PermissionError")

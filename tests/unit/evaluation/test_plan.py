"""The plan of ingest at known numbers: what is given up first, and what a refusal says."""

from __future__ import annotations

import itertools
import math
import pickle
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace

import pytest

from lastfm_dask.errors import BadInputError, BudgetError
from lastfm_dask.ingestion.plan import plan_ingest, scan_bytes, task_bytes
from lastfm_dask.ingestion.scan import BLOCK_BYTES, MIN_BLOCK_BYTES, SMALL_BLOCK_BYTES
from lastfm_dask.ingestion.source_shape import SourceShape, block_names, n_blocks
from lastfm_dask.memory.budget import Budget

MIB = 1 << 20
FULL = SourceShape(1_650_000_000, 17_600_000, 359_000, 292_000)
BUDGET = Budget(4096 * MIB, reserved=60 * MIB, cpus=4)


def test_with_enough_memory_it_goes_with_the_largest_settings():
    found = plan_ingest(FULL, BUDGET)
    assert (found.settings.threads, found.settings.block_bytes, found.window) == (4, BLOCK_BYTES, 4)


def test_the_whole_log_fits_half_a_gibibyte():
    for cpus in (1, 2, 8):
        found = plan_ingest(FULL, replace(BUDGET, allowed=512 * MIB, cpus=cpus))
        assert max(found.stages.values()) <= 512 * MIB


def test_block_size_is_given_up_before_threads_and_both_before_the_work():
    seen = []
    allowed = 1 << 30
    with suppress(BudgetError):
        while True:
            settings = plan_ingest(FULL, replace(BUDGET, allowed=allowed)).settings
            seen.append((settings.threads, settings.block_bytes))
            allowed -= 2 * MIB
    steps = list(dict.fromkeys(seen))
    assert steps[0] == (4, BLOCK_BYTES)
    assert steps == sorted(steps, reverse=True)
    by_threads = dict(steps)
    assert by_threads.get(4) == SMALL_BLOCK_BYTES
    assert {size for threads, size in steps if threads < 4} <= {SMALL_BLOCK_BYTES, MIN_BLOCK_BYTES}


def test_what_is_asked_for_is_never_exceeded():
    assert plan_ingest(FULL, replace(BUDGET, cpus=2)).settings.threads == 2
    assert plan_ingest(FULL, BUDGET, block_bytes=12345).settings.block_bytes == 12345


def test_a_block_has_no_more_names_than_rows_nor_than_there_are():
    assert n_blocks(FULL, BLOCK_BYTES) == math.ceil(FULL.source_bytes / BLOCK_BYTES)
    for block_bytes in (1, 10_000, BLOCK_BYTES, 1 << 34):
        n_rows = math.ceil(FULL.n_rows / n_blocks(FULL, block_bytes))
        n_users, n_artists = block_names(FULL, block_bytes)
        assert 1 <= n_users <= min(n_rows, FULL.n_users)
        assert 1 <= n_artists <= min(n_rows, FULL.n_artists)


def test_scan_is_projected_by_the_blocks_under_way():
    settings = plan_ingest(FULL, BUDGET).settings
    one = task_bytes(FULL, settings)
    grown = [scan_bytes(FULL, replace(settings, threads=threads)) for threads in (1, 2, 3)]
    assert [b - a for a, b in itertools.pairwise(grown)] == [one, one]
    small = replace(FULL, source_bytes=1000, n_rows=10, n_users=1, n_artists=5)
    assert scan_bytes(small, settings) < scan_bytes(FULL, settings) / 10


def test_a_disk_in_memory_counts_in_every_stage():
    on_disk, in_memory = (plan_ingest(FULL, replace(BUDGET, disk_in_memory=tmpfs)) for tmpfs in (False, True))
    for stage, n_bytes in on_disk.stages.items():
        assert in_memory.stages[stage] == n_bytes + in_memory.disk_bytes


def test_a_refusal_says_stage_numbers_and_what_would_do():
    with pytest.raises(BudgetError) as caught:
        plan_ingest(FULL, replace(BUDGET, allowed=100 * MIB))
    error = caught.value
    for words in (
        error.stage,
        str(error.projected_bytes),
        "100.0 MiB",
        "--memory",
        str(error.smallest_bytes),
    ):
        assert words in str(error)
    with pytest.raises(BudgetError, match="choose an output elsewhere"):
        plan_ingest(FULL, replace(BUDGET, free_disk=10))


def test_a_plan_is_a_value():
    found = plan_ingest(FULL, BUDGET)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(FrozenInstanceError):
        found.disk_bytes = 0


def test_blocks_that_arrow_cannot_take_are_refused():
    with pytest.raises(BadInputError, match="at most"):
        plan_ingest(FULL, BUDGET, block_bytes=1 << 31)


def test_a_driver_of_a_cluster_holds_results_in_place_of_blocks():
    here, driver = (plan_ingest(FULL, BUDGET, on_cluster=on) for on in (False, True))
    assert driver.stages["scan"] < here.stages["scan"]
    # Dask's client stays loaded after the scan.
    extra = {
        driver.stages[stage] - here.stages[stage] for stage in ("index", "assemble", "summarize", "publish")
    }
    assert len(extra) == 1
    assert extra.pop() > 0

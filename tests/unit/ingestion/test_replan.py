"""The plan made again: names that do not fit are refused with a limit that does, before they are held."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stages import Work, indexed

from lastfm_dask.errors import BudgetError
from lastfm_dask.ingestion.index import index
from lastfm_dask.ingestion.plan import IngestSettings, project
from lastfm_dask.ingestion.rejects import RejectsWriter
from lastfm_dask.ingestion.replan import MergeGuard, plan_rest
from lastfm_dask.ingestion.source_shape import SourceShape
from lastfm_dask.interactions.schema import Schema
from lastfm_dask.memory.budget import Budget
from lastfm_dask.memory.sizes import MIB

SCHEMA = Schema(("user", "artist", "plays"))
N = 20_000
LOG = b"".join(b"user%d\tartist%d\t1\n" % (i // 9, i) for i in range(N))
MISLEAD = SourceShape(len(LOG), N, 10, 10)


def guarded(folder, allowed: int):
    """Give ids within a budget, by a plan that was misled; return what was found, and the guard."""
    spool = indexed(folder, [LOG], SCHEMA, Work(block_bytes=50_000))[1]
    n_blocks = -(-len(LOG) // 50_000)
    plan = replace(project(MISLEAD, IngestSettings(1, 50_000)), budget=Budget(allowed, reserved=0))
    guard = MergeGuard(plan, spool, n_blocks)
    (folder / "again").mkdir(exist_ok=True)
    with RejectsWriter(folder / "rejects", ["log"]) as rejects:
        found = index(
            spool, n_blocks, folder / "again", rejects, batch_names=1 << 20, schema=SCHEMA, guard=guard
        )
    return found, guard


def test_names_that_do_not_fit_are_refused_with_a_limit_that_does(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(BudgetError) as caught:
        guarded(tmp_path / "a", 13 * MIB)
    assert caught.value.smallest_bytes > 13 * MIB
    (tmp_path / "b").mkdir()
    found, guard = guarded(tmp_path / "b", caught.value.smallest_bytes)
    assert len(found.artists) == N
    assert 13 * MIB < guard.needed_bytes <= caught.value.smallest_bytes
    assert list((tmp_path / "a" / "spool").glob("*.arrow"))


def test_a_batch_that_does_not_fit_is_merged_in_halves(tmp_path):
    (tmp_path / "a").mkdir()
    whole, guard = guarded(tmp_path / "a", 1 << 40)
    (tmp_path / "b").mkdir()
    halves, less = guarded(tmp_path / "b", guard.needed_bytes - 1)
    assert less.needed_bytes <= guard.needed_bytes
    assert halves.artists.array.to_pylist() == whole.artists.array.to_pylist()
    assert halves.users.rows.tolist() == whole.users.rows.tolist()


def test_the_rest_is_planned_by_true_counts(tmp_path):
    (tmp_path / "a").mkdir()
    found, guard = guarded(tmp_path / "a", 1 << 40)
    plan = plan_rest(guard.plan, found)
    assert (plan.source.n_users, plan.source.n_artists, plan.source.longest) == (2223, N, 9)
    assert list(plan.stages) == ["scan", "index", "assemble", "summarize", "publish"]
    assert plan.stages["assemble"] > guard.plan.stages["assemble"]
    with pytest.raises(BudgetError):
        plan_rest(replace(guard.plan, budget=Budget(12 * MIB, reserved=0)), found)

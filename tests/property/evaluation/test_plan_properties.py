"""The plan of ingest: projections grow with what they depend on, and a plan fits or says what would."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.engine.embedded import GRAPH_BLOCKS
from lastfm_dask.errors import BudgetError
from lastfm_dask.ingestion import plan
from lastfm_dask.ingestion.plan import STAGES, IngestSettings, disk_bytes, plan_ingest, project, task_bytes
from lastfm_dask.ingestion.scan import BLOCK_BYTES
from lastfm_dask.ingestion.source_shape import SourceShape
from lastfm_dask.memory.budget import Budget

MIB = 1 << 20


@st.composite
def shapes(draw: st.DrawFn) -> SourceShape:
    n_rows = draw(st.integers(1, 10**9))
    return SourceShape(
        source_bytes=n_rows * draw(st.integers(6, 200)),
        n_rows=n_rows,
        n_users=draw(st.integers(1, min(n_rows, 10**7))),
        n_artists=draw(st.integers(1, min(n_rows, 10**7))),
        user_bytes=draw(st.integers(1, 60)),
        artist_bytes=draw(st.integers(1, 60)),
        with_mbid=draw(st.booleans()),
    )


settings_of_ingest = st.builds(
    IngestSettings,
    st.integers(1, 64),
    st.integers(1, 64 * MIB),
    st.integers(1, 1 << 22),
    st.integers(1, 1 << 20),
)
budgets = st.builds(
    Budget,
    allowed=st.integers(1, 1 << 36),
    reserved=st.integers(0, 200 * MIB),
    cpus=st.integers(1, 64),
    disk_in_memory=st.booleans(),
)
asked = st.fixed_dictionaries({"block_bytes": st.none() | st.integers(1, 256 * MIB)})


@given(source=shapes(), settings=settings_of_ingest, more=st.integers(1, 10**7))
def test_projections_grow_with_each_number(source, settings, more):
    grown = [
        (replace(source, **{field: getattr(source, field) + more}), settings)
        for field in ("n_users", "n_artists", "user_bytes", "artist_bytes")
    ]
    # As many bytes in more rows, and as many rows of more artists: the longer the rows, the fewer in a block.
    grown.append((replace(source, n_rows=source.n_rows + more), settings))
    grown.append((replace(source, with_mbid=True), settings))
    grown += [
        (source, replace(settings, **{field: getattr(settings, field) + more}))
        for field in ("threads", "batch_names", "chunk_rows")
    ]
    for name, stage in STAGES.items():
        before = stage(source, settings)
        assert before > 0
        for arguments in grown:
            assert stage(*arguments) >= before, (name, arguments)
    assert task_bytes(source, replace(settings, block_bytes=settings.block_bytes + more)) > task_bytes(
        source, settings
    )
    for larger, *_ in grown:
        assert disk_bytes(larger, settings.block_bytes) >= disk_bytes(source, settings.block_bytes)


def tried(source, budget, asked):
    """Return the plan, or the refusal."""
    try:
        return plan_ingest(source, budget, **asked), None
    except BudgetError as error:
        return None, error


@given(source=shapes(), budget=budgets, asked=asked)
def test_a_plan_fits_or_says_what_would(source, budget, asked):
    found, error = tried(source, budget, asked)
    if error is not None:
        assert error.allowed_bytes == budget.allowed < error.smallest_bytes == error.projected_bytes
        assert error.stage in STAGES
        assert str(error.smallest_bytes) in str(error)
        enough, _ = tried(source, replace(budget, allowed=error.smallest_bytes), asked)
        assert max(enough.stages.values()) <= error.smallest_bytes
        _, again = tried(source, replace(budget, allowed=error.smallest_bytes - 1), asked)
        assert again.smallest_bytes == error.smallest_bytes
        return
    assert max(found.stages.values()) <= budget.allowed
    held = budget.reserved + (found.disk_bytes if budget.disk_in_memory else 0)
    projected = project(source, found.settings).stages
    assert found.stages == {stage: n_bytes + held for stage, n_bytes in projected.items()}
    assert found.disk_bytes == disk_bytes(source, found.settings.block_bytes)
    assert 1 <= found.window == found.settings.threads <= budget.cpus
    assert asked["block_bytes"] in (None, found.settings.block_bytes)
    assert list(found.stages) == ["scan", "index", "assemble", "summarize", "publish"]
    assert plan_ingest(source, budget, **asked) == found


@given(source=shapes(), budget=budgets, more=st.integers(1, 1 << 34))
def test_more_memory_is_never_slower(source, budget, more):
    budget = replace(budget, disk_in_memory=False)
    try:
        before = plan_ingest(source, budget).settings
    except BudgetError:
        return
    after = plan_ingest(source, replace(budget, allowed=budget.allowed + more)).settings
    order = list(itertools.chain(*plan._settings(budget.cpus, None)))
    place, later = (order.index((settings.threads, settings.block_bytes)) for settings in (before, after))
    assert later <= place
    if later == place:
        assert after.batch_names >= before.batch_names
        assert after.chunk_rows >= before.chunk_rows


@given(source=shapes(), budget=budgets)
def test_a_disk_that_is_too_small_is_refused_with_what_it_needs(source, budget):
    budget = replace(budget, allowed=1 << 50)
    needed = plan_ingest(source, budget).disk_bytes
    assert plan_ingest(source, replace(budget, free_disk=needed)).disk_bytes == needed
    with pytest.raises(BudgetError) as caught:
        plan_ingest(source, replace(budget, free_disk=needed - 1))
    assert (caught.value.projected_bytes, caught.value.allowed_bytes) == (needed, needed - 1)


@given(source=shapes(), budget=budgets, times=st.integers(2, 1000))
def test_more_rows_of_the_same_names_need_no_more_memory(source, budget, times):
    # From so many blocks on, Dask's graph grows no more.
    k = -(-GRAPH_BLOCKS * BLOCK_BYTES // source.source_bytes)
    source = replace(source, source_bytes=source.source_bytes * k, n_rows=source.n_rows * k)
    more = replace(source, source_bytes=source.source_bytes * times, n_rows=source.n_rows * times)
    budget = replace(budget, allowed=1 << 50, disk_in_memory=False)
    few, many = (plan_ingest(shape, budget) for shape in (source, more))
    assert few.settings == many.settings
    for stage in ("assemble", "summarize", "publish"):
        assert many.stages[stage] == few.stages[stage]
    # In more blocks a block has fewer of the names.
    assert many.stages["scan"] <= few.stages["scan"]
    # Names stand in every block, up to as many as are merged at once.
    assert many.stages["index"] - few.stages["index"] <= 16 * few.settings.batch_names

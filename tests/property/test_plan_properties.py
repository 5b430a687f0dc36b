"""The plan of ingest: projections grow with what they depend on, and a plan fits or says what would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.engine.embedded import GRAPH_BLOCKS
from lastfm_dask.errors import BudgetError
from lastfm_dask.ingestion import plan
from lastfm_dask.ingestion.plan import (
    STAGES,
    Pace,
    Pod,
    SourceShape,
    disk_bytes,
    plan_ingest,
    project,
    task_bytes,
)

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


paces = st.builds(
    Pace, st.integers(1, 64), st.integers(1, 64 * MIB), st.integers(1, 1 << 22), st.integers(1, 1 << 20)
)
pods = st.builds(
    Pod,
    allowed_bytes=st.integers(1, 1 << 36),
    reserved_bytes=st.integers(0, 200 * MIB),
    cpus=st.integers(1, 64),
    disk_in_memory=st.booleans(),
)
asked = st.fixed_dictionaries(
    {"threads": st.none() | st.integers(1, 64), "block_bytes": st.none() | st.integers(1, 256 * MIB)}
)


@given(source=shapes(), pace=paces, reserved=st.integers(0, 1 << 30), more=st.integers(1, 10**7))
def test_projections_grow_with_each_number(source, pace, reserved, more):
    grown = [
        (replace(source, **{field: getattr(source, field) + more}), pace, reserved)
        for field in ("n_users", "n_artists", "user_bytes", "artist_bytes")
    ]
    # As many bytes in more rows, and as many rows of more artists: the longer the rows, the fewer in a block.
    grown.append((replace(source, n_rows=source.n_rows + more), pace, reserved))
    grown.append((replace(source, with_mbid=True), pace, reserved))
    grown += [
        (source, replace(pace, **{field: getattr(pace, field) + more}), reserved)
        for field in ("threads", "batch_names", "chunk_rows")
    ]
    grown.append((source, pace, reserved + more))
    for name, stage in STAGES.items():
        before = stage(source, pace, reserved)
        assert before > reserved
        for arguments in grown:
            assert stage(*arguments) >= before, (name, arguments)
    assert task_bytes(source, replace(pace, block_bytes=pace.block_bytes + more)) > task_bytes(source, pace)
    for larger, *_ in grown:
        assert disk_bytes(larger, pace.block_bytes) >= disk_bytes(source, pace.block_bytes)


def tried(source, pod, asked):
    """Return the plan, or the refusal."""
    try:
        return plan_ingest(source, pod, **asked), None
    except BudgetError as error:
        return None, error


@given(source=shapes(), pod=pods, asked=asked)
def test_a_plan_fits_or_says_what_would(source, pod, asked):
    found, error = tried(source, pod, asked)
    if error is not None:
        assert error.allowed_bytes == pod.allowed_bytes < error.smallest_bytes == error.projected_bytes
        assert error.stage in STAGES
        assert str(error.smallest_bytes) in str(error)
        enough, _ = tried(source, replace(pod, allowed_bytes=error.smallest_bytes), asked)
        assert max(enough.stages.values()) <= error.smallest_bytes
        _, again = tried(source, replace(pod, allowed_bytes=error.smallest_bytes - 1), asked)
        assert again.smallest_bytes == error.smallest_bytes
        return
    assert max(found.stages.values()) <= pod.allowed_bytes
    assert found.stages == project(source, found.pace, pod)
    assert found.disk_bytes == disk_bytes(source, found.pace.block_bytes)
    assert 1 <= found.window == found.pace.threads <= min(asked["threads"] or pod.cpus, pod.cpus)
    assert asked["block_bytes"] in (None, found.pace.block_bytes)
    assert list(found.stages) == ["scan", "index", "assemble", "summarize", "publish"]
    assert plan_ingest(source, pod, **asked) == found


@given(source=shapes(), pod=pods, more=st.integers(1, 1 << 34))
def test_more_memory_is_never_slower(source, pod, more):
    pod = replace(pod, disk_in_memory=False)
    try:
        before = plan_ingest(source, pod).pace
    except BudgetError:
        return
    after = plan_ingest(source, replace(pod, allowed_bytes=pod.allowed_bytes + more)).pace
    rungs = [(rung.threads, rung.block_bytes) for rung in plan._rungs(pod, None, None)]
    place, later = (rungs.index((pace.threads, pace.block_bytes)) for pace in (before, after))
    assert later <= place
    if later == place:
        assert after.batch_names >= before.batch_names
        assert after.chunk_rows >= before.chunk_rows


@given(source=shapes(), pod=pods)
def test_a_disk_that_is_too_small_is_refused_with_what_it_needs(source, pod):
    pod = replace(pod, allowed_bytes=1 << 50)
    needed = plan_ingest(source, pod).disk_bytes
    assert plan_ingest(source, replace(pod, free_disk_bytes=needed)).disk_bytes == needed
    with pytest.raises(BudgetError) as caught:
        plan_ingest(source, replace(pod, free_disk_bytes=needed - 1))
    assert (caught.value.projected_bytes, caught.value.allowed_bytes) == (needed, needed - 1)


@given(source=shapes(), pod=pods, times=st.integers(2, 1000))
def test_more_rows_of_the_same_names_need_no_more_memory(source, pod, times):
    # From so many blocks on, Dask's graph grows no more.
    k = -(-GRAPH_BLOCKS * plan.BLOCK_BYTES // source.source_bytes)
    source = replace(source, source_bytes=source.source_bytes * k, n_rows=source.n_rows * k)
    more = replace(source, source_bytes=source.source_bytes * times, n_rows=source.n_rows * times)
    pod = replace(pod, allowed_bytes=1 << 50, disk_in_memory=False)
    few, many = (plan_ingest(shape, pod) for shape in (source, more))
    assert few.pace == many.pace
    for stage in ("scan", "assemble", "summarize", "publish"):
        assert many.stages[stage] == few.stages[stage]
    # Names stand in every block, up to as many as are merged at once.
    assert many.stages["index"] - few.stages["index"] <= 14 * few.pace.batch_names

"""The plan of serving: more of anything needs no less, and what does not fit is refused with what would do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.errors import BudgetError
from lastfm_dask.memory.sizes import MIB
from lastfm_dask.serve.plan import ServingShape, plan_serving, serving_bytes

FULL = ServingShape(n_artists=292_378, factors=128, names_bytes=5 * MIB)
shapes = st.builds(ServingShape, st.integers(1, 10**7), st.integers(1, 1024), st.integers(1, 10**9))


def test_the_full_size_model_fits_a_small_pod():
    plan = plan_serving(FULL, 2, 64, reserved_bytes=42 * MIB, allowed_bytes=256 * MIB)
    assert (plan.threads, plan.max_requests) == (2, 64)
    assert plan.projected_bytes < 230 * MIB


@given(shapes, st.integers(1, 64), st.integers(8, 1024), st.integers(0, 2**34))
def test_a_plan_fits_or_its_refusal_names_a_limit_that_does(shape, threads, max_requests, allowed):
    smallest = serving_bytes(shape, 1, 8, MIB)
    if allowed < smallest:
        with pytest.raises(BudgetError) as caught:
            plan_serving(shape, threads, max_requests, reserved_bytes=MIB, allowed_bytes=allowed)
        assert caught.value.smallest_bytes == smallest
        allowed = smallest
    plan = plan_serving(shape, threads, max_requests, reserved_bytes=MIB, allowed_bytes=allowed)
    assert plan.projected_bytes <= plan.allowed_bytes
    assert 1 <= plan.threads <= threads
    assert 8 <= plan.max_requests <= max_requests


@pytest.mark.parametrize("field", ["n_artists", "factors", "names_bytes"])
def test_more_needs_more(field):
    larger = replace(FULL, **{field: 2 * getattr(FULL, field)})
    assert serving_bytes(larger, 2, 64, 0) > serving_bytes(FULL, 2, 64, 0)

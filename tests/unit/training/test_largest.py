"""The largest of many numbers, beside a full sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastfm_dask.training.largest import kth_largest, places_of_largest


def by_sorting(values, k):
    return np.sort(np.argsort(-values, kind="stable")[:k])


@settings(max_examples=50)
@given(st.integers(1, 3000), st.integers(1, 600), st.sampled_from([3, 50, 10**6]), st.integers(0, 99))
def test_the_largest_are_those_of_a_sort(n, k, distinct, seed):
    values = np.random.default_rng(seed).integers(0, distinct, n).astype(np.float32)
    k = min(n, k)
    assert kth_largest(values, k) == np.sort(values)[-k]
    assert places_of_largest(values, k).tolist() == by_sorting(values, k).tolist()


@pytest.mark.parametrize("order", [1, -1])
def test_a_sample_that_misleads_changes_nothing(order):
    values = np.zeros(4096, np.float32)
    # Only what the sample sees is large, or only what it does not see.
    values[:: 16 if order > 0 else 1] = 1
    values[1::16] += order
    assert kth_largest(values, 100) == np.sort(values)[-100]
    assert places_of_largest(values, 100).tolist() == by_sorting(values, 100).tolist()

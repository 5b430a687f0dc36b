"""Counts of values say the same as all the values together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.profile.counts import count_values, histogram, rank_curve

HALVES = st.lists(st.integers(1, 4000).map(lambda n: n / 2), min_size=1, max_size=200)


@given(values=HALVES, cut=st.integers(1, 50))
def test_batches_count_like_the_whole(values, cut):
    whole = np.array(values)
    found = count_values(whole[i : i + cut] for i in range(0, len(whole), cut))
    expected, counts = np.unique(whole, return_counts=True)
    assert found.values.tolist() == expected.tolist()
    assert found.counts.tolist() == counts.tolist()
    assert found.total == len(values)
    assert found.median() == np.median(whole)


@given(values=HALVES, logarithmic=st.sampled_from([True, False, None]))
def test_every_value_falls_into_one_bin(values, logarithmic):
    found = histogram(count_values([np.array(values)]), logarithmic=logarithmic)
    assert found.counts.sum() == len(values)
    assert np.all(np.diff(found.edges) > 0)
    assert found.edges[0] > 0 or not found.logarithmic
    expected, _ = np.histogram(values, bins=found.edges)
    assert found.counts.tolist() == expected.tolist()
    assert len(found.counts) <= 61


@given(values=st.lists(st.integers(0, 300), min_size=1, max_size=200), share=st.floats(0.01, 1.0))
def test_the_rank_curve_is_the_sorted_list(values, share):
    curve = rank_curve(count_values([np.array(values)]))
    expected = sorted((value for value in values if value > 0), reverse=True)
    steps = zip(curve.values, curve.first_ranks, curve.last_ranks, strict=True)
    assert [value for value, first, last in steps for _ in range(first, last + 1)] == expected
    part, total = curve.smallest_part(share), sum(expected)
    assert sum(expected[:part]) >= share * total - 1e-6
    assert part == 0 or sum(expected[: part - 1]) < share * total + 1e-6


def test_nothing_at_all_gives_an_empty_chart():
    nothing = count_values([])
    assert np.isnan(nothing.median())
    assert histogram(nothing).counts.tolist() == [0]
    assert rank_curve(nothing).smallest_part(0.5) == 0


@pytest.mark.parametrize("highest", [1, 2, 59, 60, 61, 1000, 10**9])
def test_even_bins_stay_few(highest):
    found = histogram(count_values([np.array([1, highest])]), logarithmic=False)
    assert len(found.counts) <= 61

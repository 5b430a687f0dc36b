"""Metrics against their textbook definitions, written out in plain Python, on any lists."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from lastfm_dask.evaluation.metrics import measure

N_ARTISTS = 12

artists = st.integers(0, N_ARTISTS - 1)
people = st.lists(
    st.tuples(st.lists(artists, unique=True, max_size=8), st.sets(artists, min_size=1)),
    min_size=1,
    max_size=6,
)


def textbook(ranked: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """Return the metrics of one list."""
    ranked = ranked[:k]
    gains = [artist in relevant for artist in ranked]
    n_ideal = min(k, len(relevant))
    n_hits = sum(gains)
    averaged = sum(sum(gains[: i + 1]) / (i + 1) for i in range(len(ranked)) if gains[i])
    return {
        "ndcg": sum(1 / log2(i + 2) for i in range(len(ranked)) if gains[i])
        / sum(1 / log2(i + 2) for i in range(n_ideal)),
        "precision": n_hits / k,
        "recall": n_hits / len(relevant),
        "recall_min": n_hits / n_ideal,
        "map": averaged / len(relevant),
        "map_min": averaged / n_ideal,
    }


@given(people, st.integers(1, 10))
def test_figures_are_the_means_of_the_textbooks(people, k):
    items = np.full((len(people), 10), -1, np.int32)
    wanted = np.zeros((len(people), N_ARTISTS), np.float32)
    for row, (ranked, relevant) in enumerate(people):
        items[row, : len(ranked)] = ranked
        wanted[row, list(relevant)] = 1
    found = measure(items, csr_matrix(wanted), (k,), n_resamples=5)
    each = [textbook(ranked, relevant, k) for ranked, relevant in people]
    for name in each[0]:
        expected = sum(one[name] for one in each) / len(each)
        assert found[f"{name}@{k}"].value == pytest.approx(expected, abs=1e-12)
    listed = {artist for ranked, _ in people for artist in ranked[:k]}
    assert found[f"coverage@{k}"].value == len(listed) / N_ARTISTS
    for interval in found.values():
        assert 0 <= interval.low <= interval.high <= 1 + 1e-12

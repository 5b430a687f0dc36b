"""Distinct names counted by their hashes: exact where they are few, never too few where they are many."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.ingestion import distinct
from lastfm_dask.ingestion.distinct import NameCount, hash_names


@given(names=st.lists(st.text(max_size=40), max_size=30), start=st.integers(0, 5))
def test_equal_names_alone_have_equal_hashes(names, start):
    hashes, lengths = hash_names(pa.array([*names, *names], pa.string()).slice(start))
    whole = [*names, *names][start:]
    assert lengths.tolist() == [len(name.encode()) for name in whole]
    assert len(set(hashes.tolist())) == len(set(whole))


def test_a_long_name_counts_with_its_last_letter():
    hashes, lengths = hash_names(pa.array(["x" * 60_000, "x" * 59_999 + "y", "x" * 60_001]))
    assert len(set(hashes.tolist())) == 3
    assert lengths.tolist() == [60_000, 60_000, 60_001]


@pytest.mark.parametrize("n", [500, 5_000, 50_000])
def test_pieces_that_share_names_are_counted_once(monkeypatch, n):
    monkeypatch.setattr(distinct, "KEPT_HASHES", 1000)
    names = [f"artist {i}" for i in range(n)]
    count = NameCount()
    for first in range(0, n, 400):
        count.see(pa.array(names[max(0, first - 100) : first + 400]))
    n_bytes = sum(map(len, names))
    found, found_bytes = count.at_most()
    assert n <= found <= (n if n < 1000 else 1.3 * n)
    assert n_bytes <= found_bytes <= (n_bytes if n < 1000 else 1.4 * n_bytes)
    assert NameCount().at_most() == (0, 0)
    assert np.all(np.diff(count._hashes.astype(object)) > 0)

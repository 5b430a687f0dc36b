"""A user with very many rows: sums and median are those of a plain computation over all rows."""

from __future__ import annotations

import numpy as np
import pytest

from lastfm_dask.ingestion import long_rows
from lastfm_dask.interactions.schema import MAX_PLAYS


@pytest.mark.parametrize("range_rows", [50, 1000, 1 << 18])
@pytest.mark.parametrize("most", [3, MAX_PLAYS])
@pytest.mark.parametrize("share", [0.0, 0.8])
def test_repeated_rows_are_counted_in_order_whatever_the_ranges(monkeypatch, share, most, range_rows):
    monkeypatch.setattr(long_rows, "RANGE_ROWS", range_rows)
    monkeypatch.setattr(long_rows, "BLOCK_ROWS", 64)
    rng = np.random.default_rng(4)
    columns = np.where(rng.random(3000) < share, 7, rng.integers(0, 900, 3000)).astype(np.int32)
    plays = rng.integers(1, most, 3000, endpoint=True).astype(np.int32)
    found = list(long_rows.repeated(columns, plays, 900, 1 << 24))
    assert all(counts.sum() <= 2 * range_rows + 64 for _, _, counts in found if most > 3)
    artists, values, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    chosen = (np.bincount(columns, minlength=900) > 1)[columns] | np.isin(columns, columns[plays > 1 << 24])
    pairs, rows = np.unique(np.stack((columns[chosen], plays[chosen])), axis=1, return_counts=True)
    assert np.array_equal(np.stack((artists, values)), pairs)
    assert np.array_equal(counts, rows)


@pytest.mark.parametrize("most", [1, 70_000, MAX_PLAYS])
@pytest.mark.parametrize("n_rows", [1, 2, 999, 1000])
def test_sums_and_medians_are_exact(monkeypatch, n_rows, most):
    monkeypatch.setattr(long_rows, "BLOCK_ROWS", 64)
    rng = np.random.default_rng(n_rows)
    columns = rng.integers(0, 50, n_rows).astype(np.int32)
    plays = rng.integers(1, most, n_rows, endpoint=True).astype(np.int32)
    found, sums = long_rows.sum_by_artist(columns, plays, 60)
    wanted = {int(column): sum(plays[columns == column].tolist()) for column in np.unique(columns)}
    assert dict(zip(found.tolist(), sums.tolist(), strict=True)) == wanted
    assert found.tolist() == sorted(wanted)
    assert long_rows.median(plays) == np.median(plays.astype(np.float64))

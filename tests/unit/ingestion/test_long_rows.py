"""A user with very many rows: sums and median are those of a plain computation over all rows."""

from __future__ import annotations

import numpy as np
import pytest

from lastfm_dask.ingestion import long_rows
from lastfm_dask.interactions.schema import MAX_PLAYS


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

"""Sizes of a synthetic log."""

from __future__ import annotations

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.synthesis import LogSize


def test_default_is_the_published_size() -> None:
    assert LogSize.for_users(359_347) == LogSize()
    assert LogSize().n_rows == 17_559_530


def test_artists_follow_the_two_real_logs_at_hand() -> None:
    # Distinct names in the published excerpt of 205 listeners, and in HetRec 2K of 1,892.
    assert LogSize.for_users(205).n_artists == pytest.approx(5_460, rel=0.05)
    assert LogSize.for_users(1_892).n_artists == pytest.approx(17_632, rel=0.05)


def test_given_counts_are_kept() -> None:
    assert LogSize.for_users(10, n_artists=7, n_rows=50) == LogSize(10, 7, 50)


@pytest.mark.parametrize(
    ("n_users", "n_artists", "n_rows"),
    [(10, 5, 9), (10, 5, 51), (3, 20, 19), (100, 5, 101), (0, 1, 1), (1, 1 << 24, 1 << 24)],
)
def test_impossible_sizes_are_refused(n_users: int, n_artists: int, n_rows: int) -> None:
    with pytest.raises(BadInputError, match=r"\d"):
        LogSize(n_users, n_artists, n_rows)

"""Any size that can be had is had exactly, and the bytes follow from the size and the seed alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lastfm_dask.synthesis import LogSize, write_log
from lastfm_dask.synthesis.lists import row_counts
from lastfm_dask.synthesis.names import make_names
from lastfm_dask.synthesis.popularity import listeners_by_rank


@st.composite
def sizes(draw: st.DrawFn) -> LogSize:
    n_users = draw(st.integers(1, 150))
    n_artists = draw(st.integers(1, 400))
    least = max(n_users + 2, n_artists)
    if least > n_users * n_artists:
        n_artists = n_users + 2
        least = n_artists
    return LogSize(
        n_users, n_artists, draw(st.integers(least, max(least, min(n_users * n_artists, 20 * least))))
    )


@settings(max_examples=40, deadline=None)
@given(size=sizes(), seed=st.integers(0, 2**32))
def test_any_size_is_had_exactly_on_any_number_of_threads(size: LogSize, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = []
        for n_threads in (1, 3):
            path = Path(folder) / str(n_threads)
            summary = write_log(path, size, seed, n_threads=n_threads)
            texts.append(path.read_bytes())
    assert texts[0] == texts[1]
    rows = [line.split(b"\t") for line in texts[0].removesuffix(b"\n").split(b"\n")]
    assert len(rows) == summary.rows == size.n_rows
    assert {len(row) for row in rows} == {4}
    assert len({row[0] for row in rows}) == size.n_users + size.n_dated
    assert len({row[2] for row in rows} - {b""}) == summary.artists_as_written <= size.n_artists
    # An artist stands twice in a list only by the quirk that is meant, a few times in a million rows.
    assert len({(row[0], row[2]) for row in rows}) >= size.n_rows - 2


@settings(max_examples=60, deadline=None)
@given(
    n_users=st.integers(1, 500), n_artists=st.integers(1, 500), fill=st.floats(0, 1), seed=st.integers(0, 99)
)
def test_list_lengths_sum_up_within_their_bounds(
    n_users: int, n_artists: int, fill: float, seed: int
) -> None:
    n_rows = round(n_users + fill * (n_users * n_artists - n_users))
    counts = row_counts(n_users, n_rows, n_artists, np.random.default_rng(seed))
    assert counts.sum() == n_rows
    assert 1 <= counts.min() <= counts.max() <= n_artists


@settings(max_examples=40, deadline=None)
@given(n_users=st.integers(1, 5_000), n_artists=st.integers(1, 3_000), mean=st.floats(1, 80))
def test_listeners_fall_and_nobody_is_without(n_users: int, n_artists: int, mean: float) -> None:
    listeners = listeners_by_rank(n_users, n_artists, max(n_artists, round(n_users * mean)))
    assert len(listeners) == n_artists
    assert listeners.min() >= 1
    # Rounding goes up and down by turns.
    assert np.diff(listeners).max(initial=0) <= 1


@settings(max_examples=40, deadline=None)
@given(n_names=st.integers(0, 6_000), seed=st.integers(0, 99))
def test_names_are_distinct_and_fit_one_field(n_names: int, seed: int) -> None:
    names = make_names(n_names, np.random.default_rng(seed))
    assert len(names) == len(set(names)) == n_names
    assert not any("\t" in name or "\n" in name or not name for name in names)

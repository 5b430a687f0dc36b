"""Sizes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.errors import BadInputError
from lastfm_dask.memory.sizes import (
    GIB,
    KIB,
    MIB,
    format_size,
    limit_for,
    limit_text,
    parse_memory,
    parse_size,
)


@given(
    st.integers(1, 1 << 50),
    st.sampled_from(
        [
            ("", 1),
            ("B", 1),
            *((n + i, f) for n, f in (("K", KIB), ("M", MIB), ("G", GIB)) for i in ("", "i", "iB")),
            ("KB", 10**3),
            ("MB", 10**6),
            ("GB", 10**9),
        ]
    ),
)
def test_whole_numbers_are_exact(number: int, unit: tuple[str, int]) -> None:
    name, factor = unit
    for text in (f"{number}{name}", f" {number} {name.lower()} ", f"{number}{name.upper()}"):
        assert parse_size(text) == number * factor


@given(st.integers(1, 1 << 50))
def test_what_is_shown_reads_back_within_a_twentieth_of_its_unit(size_bytes: int) -> None:
    text = format_size(size_bytes)
    unit = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}[text.split()[1]]
    assert size_bytes >= unit
    assert abs(parse_size(text) - size_bytes) <= max(0.05 * unit + 1, 0)


@given(st.integers(0, 1 << 50))
def test_the_shown_unit_is_the_largest_that_leaves_one(size_bytes: int) -> None:
    number, unit = format_size(size_bytes).split()
    assert unit == "GiB" or float(number) <= 1024


@pytest.mark.parametrize("text", ["", "0", "0MiB", "-5MiB", "5 MX", "1e9", "MiB", "5 MiB MiB", "٥MiB", "nan"])
def test_what_is_no_size_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(BadInputError, match="is not a size"):
        parse_size(text)


@given(size_bytes=st.integers(0, 1 << 50))
def test_a_limit_asked_for_leaves_room_and_is_whole(size_bytes: int) -> None:
    assert MIB <= limit_for(size_bytes) - size_bytes < 2 * MIB
    assert limit_for(size_bytes) % MIB == 0


@given(size_bytes=st.integers(0, 1 << 50))
def test_the_limit_as_a_pod_takes_it_reads_back(size_bytes: int) -> None:
    assert parse_memory(limit_text(size_bytes)) == limit_for(size_bytes)


def test_a_bare_limit_that_was_meant_in_another_unit_is_refused() -> None:
    for text in ("512", " 64 ", "1048575"):
        with pytest.raises(BadInputError, match=f"was {text.strip()}Mi meant"):
            parse_memory(text)
    assert parse_memory("1048576") == MIB
    assert parse_memory("512K") == 512 * KIB

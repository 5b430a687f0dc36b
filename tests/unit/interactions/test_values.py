"""Plays and times as people write them, against Python's own readers."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.interactions.values import parse_plays, parse_times

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)


def plays_of(texts: list[str], values: str) -> list[float | str]:
    plays, is_number, in_range = parse_plays(pa.array(texts, pa.string()), values)
    what = zip(plays.tolist(), is_number.tolist(), in_range.tolist(), strict=True)
    return [
        value if number and fits else "range" if number else "not a number" for value, number, fits in what
    ]


def times_of(texts: list[str]) -> list[int | None]:
    times, found = parse_times(pa.array(texts, pa.string()))
    return [time if is_time else None for time, is_time in zip(times.tolist(), found.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("values", "text", "wanted"),
    [
        *(("digits", text, "not a number") for text in ("49.0", "1.5", "", "-1", "1e3")),
        ("whole", "49.0", 49),
        ("whole", "007.00", 7),
        ("whole", "2147483647.0", 2147483647),
        ("whole", "2147483648.0", "range"),
        ("whole", "0.0", "range"),
        *(("whole", text, "not a number") for text in ("1.5", "49.", ".0", "49.0.0", "-1.0", "1e3")),
        *(("float", text, float(text)) for text in ("3.5", "49", "+5", ".5", "5.", "1e-3", "1E5")),
        *(("float", text, "range") for text in ("0", "-1.5", "1e400", "1e39", "1e-60", "0.0")),
        *(("float", text, "not a number") for text in ("", "nan", "inf", "0x1F", "1,5", " 5", "1_0", "٣")),
    ],
)
def test_plays_are_judged_as_they_are_written(values, text, wanted):
    if isinstance(wanted, float):
        wanted = float(np.float32(wanted))
    assert plays_of([text], values) == [wanted]
    assert plays_of(["1e400", text, "1"], values)[1] == wanted


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).map(repr), min_size=1))
def test_real_values_are_python_s_rounded_to_float32(texts):
    with np.errstate(over="ignore", under="ignore"):
        wanted = [float(np.float32(float(text))) for text in texts]
    assert plays_of(texts, "float") == [x if 0 < x < float("inf") else "range" for x in wanted]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2009-05-04T23:08:57Z", "2009-05-04T23:08:57+00:00"),
        ("2009-05-04 23:08:57.5", "2009-05-04T23:08:57.500+00:00"),
        ("2009-05-04T23:08:57.123Z", "2009-05-04T23:08:57.123+00:00"),
        ("2009-05-04T23:08:57+02:00", "2009-05-04T21:08:57+00:00"),
        ("2009-05-04", "2009-05-04T00:00:00+00:00"),
        ("0033-05-04T23:08:57Z", "0033-05-04T23:08:57+00:00"),
        ("1241478537", "2009-05-04T23:08:57+00:00"),
        ("1241478537250", "2009-05-04T23:08:57.250+00:00"),
        ("1241478537250999", "2009-05-04T23:08:57.250+00:00"),
        ("1241478537250999999", "2009-05-04T23:08:57.250+00:00"),
        ("-1", "1969-12-31T23:59:59+00:00"),
        ("-999999999999999", "1938-04-24T22:13:20.000+00:00"),
        ("0", "1970-01-01T00:00:00+00:00"),
        *(
            (text, None)
            for text in (
                "",
                "yesterday",
                "2009-02-30T00:00:00Z",
                "2009-05-04T25:00:00Z",
                "1.5",
                "12 ",
                "9" * 19,
            )
        ),
    ],
)
def test_times_are_iso_8601_or_epochs(text, wanted):
    time = None if wanted is None else (dt.datetime.fromisoformat(wanted) - EPOCH) // MILLISECOND
    assert times_of([text]) == [time]
    assert times_of(["2009-05-04T23:08:57Z", text, "nonsense", "5"])[1] == time


@given(st.lists(st.datetimes(timezones=st.just(dt.UTC)), min_size=1), st.sampled_from(["T", " "]))
def test_times_of_any_year_are_python_s(times, between):
    texts = [time.isoformat(between).replace("+00:00", "Z") for time in times]
    assert times_of(texts) == [(time - EPOCH) // MILLISECOND for time in times]

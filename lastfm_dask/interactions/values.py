"""Parse and check plays and times. Pure: Arrow arrays in, NumPy arrays out.

The value of a text depends only on that text, never on its neighbours, so results do not depend on how a source is cut
into blocks.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions.schema import FLOAT, MAX_PLAYS, WHOLE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_MAX_DIGITS = len(str(MAX_PLAYS))
_NUMBER = r"\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"
_EPOCH = r"\A-?(?:[0-9]{1,18}|[1-8][0-9]{18})\z"
_PLAIN_TIME = r"\A[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,3})?Z?\z"
_TIMES_AT_ONCE = 1 << 14
_SECONDS_BELOW, _MILLISECONDS_BELOW, _MICROSECONDS_BELOW = 10**11, 10**14, 10**17
"""A number's magnitude decides its unit: each of these is March 1973 in the next unit and the year 5138 in its own."""

Parsed = tuple["npt.NDArray[Any]", "npt.NDArray[np.bool_]", "npt.NDArray[np.bool_]"]
Times = tuple["npt.NDArray[np.int64]", "npt.NDArray[np.bool_]"]


def parse_plays(written: pa.StringArray, values: str) -> Parsed:
    """Return plays, and whether each is a number in range.

    Parameters
    ----------
    written : StringArray, shape (n,)
        The texts.
    values : str
        How plays are written: one of `schema.VALUES`.

    Returns
    -------
    plays : ndarray, shape (n,), int32, or float32 for `float`
        Unspecified where a text is not a number in range.
    is_number, in_range : ndarray, shape (n,), bool
        Whether each text is a number, and whether it is above zero and not too large.
    """
    return _parse_real(written) if values == FLOAT else _parse_whole(written, values)


def _parse_whole(written: pa.StringArray, values: str) -> Parsed:
    """Parse whole numbers: short texts of digits at once, the others one by one where they are few."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = ~_are_short_digits(written)
    if not odd.any():
        plays = pc.cast(written, pa.int32()).to_numpy()
        return plays, np.ones(len(plays), np.bool_), plays >= 1
    plays, in_range = np.zeros(len(written), np.int32), np.ones(len(written), np.bool_)
    is_number = np.ones(len(written), np.bool_)
    plays[~odd] = pc.cast(written.filter(pa.array(~odd)), pa.int32()).to_numpy()
    in_range[~odd] = plays[~odd] >= 1
    plays[odd], is_number[odd], in_range[odd] = _parse_odd(written.filter(pa.array(odd)), values)
    return plays, is_number, in_range


def _are_short_digits(written: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Whether each text is one or more digits, few enough that any such number fits into an int32."""
    import numpy as np

    _, offsets, data = written.buffers()
    if not len(written):
        return np.ones(0, np.bool_)
    bounds = np.frombuffer(offsets, np.int32)[written.offset : written.offset + len(written) + 1]
    lengths = np.diff(bounds)
    found: npt.NDArray[np.bool_] = (lengths > 0) & (lengths < _MAX_DIGITS)
    signs = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    # As unsigned bytes minus "0", characters before "0" come far after "9".
    others = np.flatnonzero(signs - np.uint8(ord("0")) > 9)
    found[np.searchsorted(bounds, others + bounds[0], side="right") - 1] = False
    return found


def _parse_odd(written: pa.StringArray, values: str) -> Parsed:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if values == WHOLE:
        written = without_zero_decimals(written)
    is_number = np.asarray(pc.match_substring_regex(written, r"\A[0-9]+\z"), np.bool_)
    digits = pc.ascii_ltrim(written.filter(pa.array(is_number)), "0")
    n_digits = pc.binary_length(digits).to_numpy()
    short = (n_digits > 0) & (n_digits <= _MAX_DIGITS)
    counts = np.zeros(len(digits), np.int64)
    counts[short] = digits.filter(pa.array(short)).cast(pa.int64()).to_numpy()
    fits = (counts >= 1) & (counts <= MAX_PLAYS)
    plays, in_range = np.zeros(len(written), np.int32), np.zeros(len(written), np.bool_)
    plays[is_number] = np.where(fits, counts, 0)
    in_range[is_number] = fits
    return plays, is_number, in_range


def without_zero_decimals(written: pa.StringArray) -> pa.StringArray:
    """Return numbers without the decimals of `49.0`; other texts stay as they are."""
    import pyarrow.compute as pc

    has_point = pc.any(pc.match_substring(written, ".")).as_py()
    return pc.replace_substring_regex(written, r"\A([0-9]+)\.0+\z", r"\1") if has_point else written


def _parse_real(written: pa.StringArray) -> Parsed:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    is_number = np.asarray(pc.match_substring_regex(written, _NUMBER), np.bool_)
    texts = written.filter(pa.array(is_number))
    try:
        exact = pc.cast(texts, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        # A sign, or an exponent beyond float64. Both parsers round correctly, so their numbers are the same.
        exact = np.array([float(text) for text in texts.to_pylist()], np.float64)
    values, in_range = np.zeros(len(written), np.float32), np.zeros(len(written), np.bool_)
    with np.errstate(over="ignore", under="ignore"):
        values[is_number] = exact.astype(np.float32)
    in_range[is_number] = np.isfinite(values[is_number]) & (values[is_number] > 0)
    return values, is_number, in_range


def parse_times(written: pa.StringArray) -> Times:
    """Return times in milliseconds since 1970 (UTC), and which texts are times.

    A time is written as ISO 8601 (without an offset it is UTC), or as a whole number (see `milliseconds`).

    Parameters
    ----------
    written : StringArray, shape (n,)
        The texts.
    """
    import numpy as np

    times, found = np.zeros(len(written), np.int64), np.zeros(len(written), np.bool_)
    # Intermediate arrays take many times the bytes of a time.
    for start in range(0, len(written), _TIMES_AT_ONCE):
        part = slice(start, start + _TIMES_AT_ONCE)
        _parse_times(written[part], times[part], found[part])
    return times, found


def _parse_times(written: pa.StringArray, times: npt.NDArray[np.int64], found: npt.NDArray[np.bool_]) -> None:
    """Set the times of texts, and which of them are times."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    is_epoch = np.asarray(pc.match_substring_regex(written, _EPOCH), np.bool_)
    if is_epoch.any():
        numbers = pc.cast(written.filter(pa.array(is_epoch)), pa.int64()).to_numpy()
        times[is_epoch] = milliseconds(numbers)
        found |= is_epoch
    rest = ~is_epoch & np.asarray(pc.match_substring_regex(written, _PLAIN_TIME), np.bool_)
    if rest.any():
        texts = pc.ascii_rtrim(written.filter(pa.array(rest)), "Z")
        try:
            times[rest] = pc.cast(pc.cast(texts, pa.timestamp("ms")), pa.int64()).to_numpy()
            found |= rest
        except pa.ArrowInvalid:
            pass
    for i in np.flatnonzero(~found):
        if (time := _iso(written[int(i)].as_py())) is not None:
            times[i], found[i] = time, True


def milliseconds(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return times in milliseconds since 1970.

    Parameters
    ----------
    numbers : ndarray, shape (n,), int64
        Seconds below 10^11, milliseconds below 10^14, microseconds below 10^17, else nanoseconds.
    """
    import numpy as np

    size = np.abs(numbers)
    if not len(size) or size.max() < _SECONDS_BELOW:
        return numbers * 1000
    found = np.where(size < _SECONDS_BELOW, numbers * 1000, numbers)
    for below, divisor in ((_MILLISECONDS_BELOW, 1000), (_MICROSECONDS_BELOW, 1_000_000)):
        found = np.where(size < below, found, numbers // divisor)
    return found


def _iso(text: str) -> int | None:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=dt.UTC)
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)

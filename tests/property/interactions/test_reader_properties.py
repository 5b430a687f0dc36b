"""The fast path, the exact path and a reader in plain Python agree, over bytes that readers judge differently."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from nasty import BOM, MAX_LINE, MAX_REJECT, lines_of, short_lines
from reference import Log, read_log

from lastfm_dask.interactions import places
from lastfm_dask.interactions.blocks import cut, cut_stream, read_lines
from lastfm_dask.interactions.fast import read_fast
from lastfm_dask.interactions.places import LinePlaces
from lastfm_dask.interactions.reader import read_exactly, read_rows
from lastfm_dask.interactions.schema import REASONS, Schema
from lastfm_dask.interactions.utf8 import invalid_places

if TYPE_CHECKING:
    from lastfm_dask.interactions.rows import Rows

SCHEMAS = [
    Schema(("user", "mbid", "artist", "plays")),
    Schema(("user", "mbid", "artist", "plays"), with_mbid=True, header=True),
    Schema(("user", "artist", "plays"), header=True),
    Schema(("plays", "-", "artist", "-", "user"), delimiter=";"),
    Schema(("artist", "plays", "user"), delimiter=","),
    Schema(("user", "plays", "artist"), delimiter='"'),
    Schema(("user", "artist", "plays"), delimiter=" "),
    Schema(("user", "-", "artist", "plays"), delimiter="::"),
    Schema(("user", "artist", "plays"), delimiter="é", values="digits"),
]
UTF8_PIECES = [
    *(b"a", b"\n", b"\x7f", b"\x80", b"\xbf", b"\xc1", b"\xc2", b"\xdf", b"\xe0", b"\xe1", b"\xed", b"\xee"),
    *(b"\x9f", b"\xa0", b"\x8f", b"\x90", b"\xf0", b"\xf1", b"\xf4", b"\xf5", b"\xff", "é€🎵".encode()),
]
schemas = st.sampled_from(SCHEMAS)
cases = schemas.flatmap(lambda schema: st.tuples(st.just(schema), lines_of(schema)))
good_cases = schemas.flatmap(lambda schema: st.tuples(st.just(schema), lines_of(schema, good=True)))


def as_log(rows: Rows, lines_before: int = 0) -> Log:
    mbids = rows.mbid.to_pylist() if rows.mbid is not None else [""] * len(rows.plays)
    columns = (rows.user.to_pylist(), mbids, rows.artist.to_pylist(), rows.plays.tolist())
    rejected = (rows.reject_lines, rows.reject_reasons, rows.reject_bytes)
    rejects = zip(*(values.tolist() for values in rejected), strict=True)
    return Log(
        rows=list(zip(*columns, strict=True)),
        rejects=[(lines_before + line + 1, REASONS[reason], raw) for line, reason, raw in rejects],
        n_lines=rows.n_lines,
    )


def joined(blocks, schema: Schema) -> Log:
    """Read blocks' lines one after the other, as the index stage counts them."""
    whole = Log()
    for lines, at_start in blocks:
        log = as_log(read_rows(lines, schema, file_start=at_start), whole.n_lines)
        whole.rows += log.rows
        whole.rejects += log.rejects
        whole.n_lines += log.n_lines
    return whole


def check_dictionary(rows: Rows) -> None:
    """Users are listed once each, in order of first appearance, and no other."""
    assert rows.user.dictionary.to_pylist() == list(dict.fromkeys(rows.user.to_pylist()))
    assert rows.user.indices.type == "int32"
    assert rows.plays.dtype == np.int32


@given(case=cases)
@example(case=(SCHEMAS[0], b"u\t\ta\t5\rv\t\tb\t6\n"))
@example(case=(SCHEMAS[0], BOM + BOM + b"u\t\ta\t5\n"))
@example(case=(SCHEMAS[2], BOM))
@example(case=(SCHEMAS[2], b"user\tartist\tplays"))
@example(case=(SCHEMAS[0], b"\n\n\r\n"))
@example(case=(Schema(("user", "artist", "plays"), delimiter="aa"), b"uaaaaa1\nuaabaa1\naaaaaaa\naa"))
def test_a_file_is_read_as_the_slow_reader_reads_it(case):
    schema, data = case
    with short_lines():
        rows = read_rows(data, schema, file_start=True)
    found, wanted = as_log(rows), read_log(data, schema, max_line=MAX_LINE, max_reject=MAX_REJECT)
    if not (schema.header and data in (b"", BOM)):
        assert found == wanted
    assert found.rows == wanted.rows
    check_dictionary(rows)


@given(case=cases)
def test_fast_and_exact_path_agree_wherever_the_fast_one_answers(case):
    schema, data = case
    with short_lines():
        lines = bytearray(data)
        fast, fast_on_copy = read_fast(lines, 0, schema), read_fast(data, 0, schema)
        exact = read_exactly(data, 0, schema)
    check_dictionary(exact)
    assert lines == data
    assert (fast is None) == (fast_on_copy is None)
    if fast is not None:
        check_dictionary(fast)
        assert as_log(fast) == as_log(fast_on_copy) == as_log(exact)
    # Whatever lines hold, they are read fast, but for what the path declines.
    long = any(len(line) >= MAX_LINE // 2 for line in data.split(b"\n"))
    assert (
        fast is not None or not data or long or data.startswith(BOM) or has_other_fields_alone(data, schema)
    )


def has_other_fields_alone(data: bytes, schema: Schema) -> bool:
    """Whether no line has as many fields as there are columns; Arrow then finds no first row."""
    delimiter = schema.delimiter.encode()
    return all(line.count(delimiter) != len(schema.columns) - 1 for line in data.split(b"\n"))


@given(case=cases, chunk=st.integers(1, 40))
def test_lines_are_found_by_number_and_by_place(case, chunk):
    _, data = case
    lines = data.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    with mock.patch.object(places, "_CHUNK_BYTES", chunk):
        found = LinePlaces(np.frombuffer(data, np.uint8))
        numbers = np.arange(0, len(lines), 2)
        starts, ends = found.bounds(numbers)
        assert [data[start:end] for start, end in zip(starts, ends, strict=True)] == lines[::2]
        everywhere = [data[:place].count(b"\n") for place in range(len(data))]
        assert found.numbers(np.arange(len(data))).tolist() == everywhere
        assert found.raw(numbers, 5).to_pylist() == [
            (
                line[:-1]
                if line.endswith(b"\r") and 2 * i + 1 < data.count(b"\n") + 1 and ends[i] < len(data)
                else line
            )[:5]
            for i, line in enumerate(lines[::2])
        ]


@given(data=st.binary(max_size=12) | st.lists(st.sampled_from(UTF8_PIECES), max_size=8).map(b"".join))
def test_bytes_that_are_not_utf8_are_found_as_python_finds_them(data):
    wrong = invalid_places(np.frombuffer(data, np.uint8))
    assert sorted({data[:place].count(b"\n") for place in wrong}) == [
        number for number, line in enumerate(data.split(b"\n")) if not is_valid(line)
    ]


def is_valid(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(case=good_cases)
def test_good_lines_take_the_fast_path(case):
    schema, data = case
    fast = read_fast(data, 0, schema)
    if data:
        assert fast is not None
        assert as_log(fast) == as_log(read_exactly(bytearray(data), 0, schema))


@given(case=cases, block_bytes=st.integers(1, 3 * MAX_LINE), probe=st.integers(1, 2 * MAX_LINE))
@example(case=(SCHEMAS[0], BOM + b"x" * MAX_LINE + b"\r\nu\t\ta\t5\n"), block_bytes=MAX_LINE + 4, probe=1)
@example(
    case=(SCHEMAS[0], BOM + b"u\t\ta\t" + b"1" * 3 * MAX_LINE + b"\nu\t\ta\t5\n"), block_bytes=1, probe=1
)
def test_blocks_of_any_size_hold_the_same_rows_and_rejects(case, block_bytes, probe):
    schema, data = case
    wanted = read_log(data, schema, max_line=MAX_LINE, max_reject=MAX_REJECT)

    def read(offset: int, n_bytes: int) -> bytearray:
        return bytearray(data[offset : offset + n_bytes])

    with short_lines(probe=probe):
        ranges = cut([len(data)], block_bytes)
        by_range = joined(((read_lines(read, b.start, b.end), b.start == 0) for b in ranges), schema)
        stream = cut_stream(io.BytesIO(data), 0, 0, block_bytes)
        by_stream = joined(((b.lines, b.start == 0) for b in stream), schema)
    if data != BOM:
        assert by_range == wanted
        assert by_stream == wanted


@given(data=st.binary(max_size=60) | st.text("\t\n\r5é\x00\ufeff\x85", max_size=40).map(str.encode))
def test_any_bytes_at_all(data):
    schema = Schema(("user", "artist", "plays"))
    assert as_log(read_rows(data, schema, file_start=True)) == read_log(data, schema)

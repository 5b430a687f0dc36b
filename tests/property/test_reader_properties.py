"""The fast path, the exact path and a reader in plain Python agree, over bytes that readers judge differently."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from nasty import BOM, MAX_LINE, MAX_REJECT, lines_of, short_lines
from reference import Log, read_log

from lastfm_dask.interactions import reader
from lastfm_dask.interactions.blocks import cut, cut_stream, read_lines
from lastfm_dask.interactions.reader import Rows, read_exactly, read_rows
from lastfm_dask.interactions.schema import REASONS, Schema

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
        fast = reader.read_fast(data, 0, schema)
        exact = read_exactly(data, 0, schema)
    check_dictionary(exact)
    if fast is not None:
        check_dictionary(fast)
        assert as_log(fast) == as_log(exact)
        assert not len(fast.reject_lines)


@given(case=good_cases)
def test_good_lines_take_the_fast_path(case):
    schema, data = case
    fast = reader.read_fast(data, 0, schema)
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

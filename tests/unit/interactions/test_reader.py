"""The reader at its edges: each reason, the real limit of a line, headers, and that the fast path stays fast."""

from __future__ import annotations

import pytest
from reference import read_log

from lastfm_dask.interactions.fast import read_fast
from lastfm_dask.interactions.reader import read_exactly, read_rows
from lastfm_dask.interactions.schema import MAX_LINE_BYTES, MAX_REJECT_BYTES, REASONS, Schema

SCHEMA = Schema(("user", "mbid", "artist", "plays"))


def reasons(data: bytes, schema: Schema = SCHEMA) -> list[str]:
    rows = read_rows(data, schema, file_start=True)
    found = [REASONS[reason] for reason in rows.reject_reasons]
    assert found == [reason for _, reason, _ in read_log(data, schema).rejects]
    return found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x" * (MAX_LINE_BYTES + 1), "line_too_long"),
        (b"\xff\t" * MAX_LINE_BYTES, "line_too_long"),
        (b"\xff\t\t", "field_count"),
        (b"", "field_count"),
        (b"\xff\t\t\tx", "invalid_utf8"),
        (b"u\t\xff\ta\t5", "invalid_utf8"),
        (b"\t\t\tx", "empty_user"),
        (b"u\t\t\tx", "empty_artist"),
        (b"u\t\ta\t", "plays_not_a_number"),
        (b"u\t\ta\t-1", "plays_not_a_number"),
        (b"u\t\ta\t 0", "plays_not_a_number"),
        (b"u\t\ta\t0", "plays_out_of_range"),
        (b"u\t\ta\t2147483648", "plays_out_of_range"),
        (b"u\t\ta\t" + b"9" * 5000, "plays_out_of_range"),
    ],
)
def test_the_first_reason_in_order_is_given(line, reason):
    assert reasons(b"u\t\ta\t5\n" + line + b"\nu\t\ta\t5\n") == [reason]
    assert reasons(line) == ([reason] if line else [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_just_the_limit_is_read(end):
    line = b"u\t\t" + b"a" * (MAX_LINE_BYTES - 5) + b"\t5"
    assert len(line) == MAX_LINE_BYTES
    assert reasons(line + end) == []
    assert reasons(b"v" + line + end) == ["line_too_long"]
    assert reasons(b"v\t\ta\t1\n" * 9 + b"v" + line + end) == ["line_too_long"]


def test_a_line_that_is_too_long_does_not_pass_wherever_it_lies():
    for before in (0, 1, MAX_LINE_BYTES // 2 - 8, MAX_LINE_BYTES // 2, MAX_LINE_BYTES):
        data = b"u\t\t" + b"b" * before + b"\t5\nu\t\t" + b"a" * MAX_LINE_BYTES + b"\t5\nv\t\tb\t6\n"
        assert read_fast(data, 0, SCHEMA) is None


def test_little_of_a_rejected_line_is_kept():
    rows = read_rows(b"x" * 5000 + b"\r\ny\r\nz\r", SCHEMA, file_start=True)
    assert rows.reject_bytes.to_pylist() == [b"x" * MAX_REJECT_BYTES, b"y", b"z\r"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    ("data", "n_lines", "rejected"),
    [
        (b"user\tartist\tplays", 1, []),
        (b"user\tartist\tplays\n", 1, []),
        (b"user\tartist\tplays\r\nbad\nu\ta\t5", 3, [1]),
        (b"\xff\nu\ta\t5\n", 2, []),
        (b"\nu\ta\t5\nbad", 3, [2]),
    ],
)
def test_a_header_is_a_line_but_no_row(mark, data, n_lines, rejected):
    schema = Schema(("user", "artist", "plays"), header=True)
    rows = read_rows(mark + data, schema, file_start=True)
    assert (rows.n_lines, rows.reject_lines.tolist()) == (n_lines, rejected)
    later = read_rows(data, schema, file_start=False)
    assert later.n_lines == n_lines
    assert later.reject_lines[:1].tolist() == [0]


def test_a_byte_order_mark_is_dropped_at_a_files_first_byte_alone():
    line = b"\xef\xbb\xbfu\t\ta\t5\n"
    assert read_rows(line, SCHEMA, file_start=True).user.to_pylist() == ["u"]
    assert read_rows(line, SCHEMA, file_start=False).user.to_pylist() == ["\ufeffu"]
    assert read_rows(line[3:] + line, SCHEMA, file_start=True).user.to_pylist() == ["u", "\ufeffu"]


@pytest.mark.parametrize("lines", [b"", b"\xef\xbb\xbf"])
def test_no_lines_are_no_rows(lines):
    rows = read_rows(lines, SCHEMA, file_start=True)
    assert (len(rows.plays), len(rows.user), len(rows.artist), rows.n_lines) == (0, 0, 0, 0)


def test_the_lines_are_not_kept_alive_by_what_was_read():
    lines = bytearray(b"u\t\ta\t5\n" * 100)
    for rows in (read_rows(lines, SCHEMA, file_start=False), read_exactly(lines, 0, SCHEMA)):
        assert len(rows.plays) == 100
        lines.append(10)  # Refused while anything points into them.
        del lines[-1:]

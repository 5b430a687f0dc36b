"""Quoted text against Python's csv, other encodings against UTF-8, JSON lines against Python's json: however cut."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st
from reference import Log, read_line

from lastfm_dask.interactions import blocks, decoding, exact, fast, json_lines, quoted, reader, records
from lastfm_dask.interactions.cutting import blocks_of
from lastfm_dask.interactions.reading import read_block, read_rows
from lastfm_dask.interactions.schema import REASONS, Schema
from lastfm_dask.sources.files import find, open_ranges

MAX_LINE = 64
QUOTED = Schema(("user", "artist", "plays"), delimiter=",", quote='"', header=True)
signs = st.sampled_from(['"', '"', ",", "\n", "\r\n", "a", "B", " ", "é", "'", "5", "\0"])
texts = st.lists(signs, max_size=6).map("".join)
written = st.one_of(
    texts.map(lambda text: '"' + text.replace('"', '""') + '"'),
    texts.map(lambda text: text.replace(",", "").replace("\n", "").replace("\r", "").lstrip('"')),
    st.sampled_from(["u", '"u"', '"u"x', 'u"x"', '""', '"5"', "5", '"""a"""', '"a","b"']),
)
lines = st.lists(
    st.one_of(written, written, st.sampled_from(["1", "20", '"3"', "4.0"])), min_size=1, max_size=4
)
files = st.lists(st.tuples(lines.map(",".join), st.sampled_from(["\n", "\r\n"])), max_size=12)


@contextmanager
def small(limit: int = MAX_LINE, piece: int = 7):
    """Let lines be too long at a few bytes, and read in small pieces."""
    names = {
        (exact, "MAX_LINE_BYTES"): limit,
        (quoted, "MAX_LINE_BYTES"): limit,
        (json_lines, "MAX_LINE_BYTES"): limit,
        (decoding, "MAX_LINE_BYTES"): limit,
        **{(module, "MAX_REJECT_BYTES"): 20 for module in (exact, fast, quoted, json_lines, decoding)},
        (decoding, "TRUNCATED_BYTES"): limit + 16,
        (decoding, "_PROBE_BYTES"): 4 * piece,
        (decoding, "_PIECE_BYTES"): piece,
        (blocks, "_TRUNCATED_BYTES"): limit + 5,
        (blocks, "_PROBE_BYTES"): piece,
        (quoted, "_PIECE_BYTES"): piece,
        (records, "_PIECE_BYTES"): piece,
        (reader, "_PIECE_BYTES"): piece,
        (fast, "_WINDOW_BYTES"): limit // 2,
    }
    with tempfile.TemporaryDirectory() as folder:
        patches = [mock.patch.object(module, name, value) for (module, name), value in names.items()]
        for patch in patches:
            patch.start()
        try:
            yield Path(folder) / "log.txt"
        finally:
            for patch in patches:
                patch.stop()


def logged(path: Path, schema: Schema, block_bytes: int) -> Log:
    """Read a file block by block, as ingest does."""
    whole = Log()
    if not path.stat().st_size:
        return whole
    found = find([path])
    with open_ranges(str(path)) as read:
        for block in blocks_of(found, schema, block_bytes):
            data = block.lines if block.lines is not None else read_block(read, block, schema)
            rows = read_rows(data, schema, file_start=block.start == 0)
            columns = (rows.user.to_pylist(), rows.artist.to_pylist(), rows.plays.tolist())
            whole.rows += zip(*columns, strict=True)
            rejects = (
                rows.reject_lines.tolist(),
                rows.reject_reasons.tolist(),
                rows.reject_bytes.to_pylist(),
            )
            for line, reason, raw in zip(*rejects, strict=True):
                whole.rejects.append((whole.n_lines + line + 1, REASONS[reason], raw))
            whole.n_lines += rows.n_lines
    return whole


def by_csv(text: str) -> Log:
    """Read quoted text with Python's csv; line numbers are those on which records start."""
    log, line = Log(), 0
    source = io.StringIO(text, newline="\n")
    parsed = csv.reader(source, delimiter=",", quotechar='"')
    plain = replace(QUOTED, delimiter="\x1f", quote="")
    for number, fields in enumerate(parsed):
        start, line = line, parsed.line_num
        if number == 0:
            continue
        row = read_line("\x1f".join(fields).encode(), plain, 1 << 20)
        if isinstance(row, str):
            log.rejects.append((start + 1, row))
        else:
            log.rows.append((row[0], row[2], row[3]))
    log.n_lines = line
    return log


@given(file=files, block_bytes=st.integers(1, 90), piece=st.integers(1, 50), end=st.booleans())
@example(file=[('u,"a\n""b""\r\n,",5', "\n"), ('"u"x,"",5', "\r\n")], block_bytes=3, piece=2, end=True)
@example(file=[('u,a"b",5', "\n"), ('u,"a,b",5', "\n")], block_bytes=99, piece=99, end=False)
@example(file=[('u,"a""b""",5', "\n"), ("bad", "\n")], block_bytes=90, piece=50, end=True)
def test_quoted_text_is_read_as_csv_reads_it(file, block_bytes, piece, end):
    text = "user,artist,plays\n" + "".join(line + stop for line, stop in file)
    text = text if end else text.removesuffix("\n").removesuffix("\r")
    wanted = by_csv(text)
    with small(1 << 20, piece) as path:
        path.write_bytes(text.encode())
        found = logged(path, QUOTED, block_bytes)
    assert found.rows == wanted.rows
    assert [(line, reason) for line, reason, _ in found.rejects] == wanted.rejects
    assert found.n_lines == wanted.n_lines == text.count("\n") + (not text.endswith("\n"))


chunks = st.lists(
    st.sampled_from(['"', '"', "\n", ",", "u,a,5\n", 'u,"a', '",5\n', "x" * 30, "x" * 90]), max_size=14
)


@given(chunks.map("".join), st.integers(1, 200), st.integers(1, 60), st.integers(1, 60))
@example('u,"a' + "x" * 90 + '\nu,b,5\n"', 10, 7, 60)
def test_open_quotes_and_long_records_are_rejected_the_same_however_cut(text, block_bytes, piece, other):
    schema = replace(QUOTED, header=False)
    with small(MAX_LINE, piece) as path:
        path.write_text(text)
        found = logged(path, schema, block_bytes)
    with small(MAX_LINE, other) as path:
        path.write_text(text)
        assert logged(path, schema, 1 << 20) == found
    n_rows = len(found.rows) + len(found.rejects)
    assert n_rows <= found.n_lines == text.count("\n") + (bool(text) and not text.endswith("\n"))


def test_reading_goes_on_behind_a_quote_that_is_not_closed():
    schema = replace(QUOTED, header=False)
    text = 'u,"a,5\n' + "u,b,7\n" * 20 + 'v,"c\nd",5\nw,"e\n'
    with small() as path:
        path.write_text(text)
        found = logged(path, schema, 1 << 20)
    assert found.rejects == [(1, "unclosed_quote", b'u,"a,5'), (24, "unclosed_quote", b'w,"e')]
    assert found.rows == [("u", "b", 7)] * 20 + [("v", "c\nd", 5)]


ENCODINGS = ("latin-1", "cp1252", "utf-16", "utf-16-be", "utf-32", "shift_jis", "cp500", "koi8-r")
names = st.sampled_from(["u", "Ab", "é", "ñ", "дом", "日本", "Ċ", "ਅ", "x" * 40, "x" * 70, "a b"])


@given(
    rows=st.lists(st.tuples(names, names, st.sampled_from(["1", "0", "x", "7\r"])), max_size=10),
    encoding=st.sampled_from(ENCODINGS),
    block_bytes=st.integers(1, 150),
    quote=st.sampled_from(["", '"']),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_another_encoding_gives_the_rows_of_utf_8(rows, encoding, block_bytes, quote, ending):
    text = "".join("\t".join(row) + ending for row in rows)
    text = text.encode(encoding, "replace").decode(encoding)
    schema = Schema(("user", "artist", "plays"), encoding=encoding, quote=quote)
    name = schema.encoding
    with small() as path:
        path.write_bytes(text.encode(encoding))
        found = logged(path, schema, block_bytes)
        path.write_bytes(text.encode())
        plain = logged(path, replace(schema, encoding="utf-8"), block_bytes)
    long = {line for line, reason, _ in found.rejects + plain.rejects if reason == "line_too_long"}
    if not long:
        assert (found.rows, found.n_lines) == (plain.rows, plain.n_lines)
        assert [reject[:2] for reject in found.rejects] == [reject[:2] for reject in plain.rejects]
        raw = text.encode(name).split("\n".encode(name)) if "16" not in name and "32" not in name else None
        for line, _, kept in found.rejects if raw else ():
            assert kept == raw[line - 1].removesuffix("\r".encode(name))[:20]


def test_what_cannot_be_decoded_rejects_its_line_alone():
    for encoding, bad in (("shift_jis", b"\x81"), ("cp1252", b"\x81"), ("utf-16-le", b"\x00\xd8")):
        schema = Schema(("user", "artist", "plays"), encoding=encoding)
        good, end = "u\té\t5\n".encode(encoding, "replace"), "\n".encode(encoding)
        with small() as path:
            path.write_bytes(good + bad + "\ta\t5".encode(encoding) + end + good)
            found = logged(path, schema, 11)
        assert len(found.rows) == 2
        assert found.rejects == [(2, "invalid_encoding", bad + "\ta\t5".encode(encoding))]


LISTENS = Schema(
    ("user", "artist", "time"),
    events=True,
    kind="json-lines",
    fields=("user_name|user_id", "track.artist", "listened_at"),
)
odd = st.sampled_from([None, True, "", "u", "É", "\ud800", 5, 2**70, 1.5, 3.0, [], {}, {"artist": "x"}])
objects = st.fixed_dictionaries(
    {},
    optional={
        "user_name": st.one_of(st.sampled_from(["u", "v", ""]), odd),
        "user_id": st.one_of(st.integers(0, 9), odd),
        "track": st.one_of(st.fixed_dictionaries({"artist": st.one_of(st.just("a"), odd)}), odd),
        "listened_at": st.one_of(st.integers(0, 2**33), odd),
        "more": odd,
    },
)
plain_objects = st.fixed_dictionaries(
    {
        "user_name": st.sampled_from(["u", "É"]),
        "track": st.fixed_dictionaries({"artist": st.sampled_from(["a", "", "日本"]), "id": st.integers()}),
        "listened_at": st.integers(0, 2**33),
    }
)
junk = st.sampled_from(
    ["", "{}", "[]", "5", "{", '{"user_name": "u",', "{}{}", " {}", "nan", "}", '{"a":NaN}', "\x00"]
)


@given(
    st.lists(st.one_of(plain_objects.map(json.dumps), objects.map(json.dumps), junk), max_size=8)
    | st.lists(plain_objects.map(lambda row: json.dumps(row, ensure_ascii=False)), min_size=1, max_size=8),
    st.booleans(),
)
def test_arrow_and_python_read_the_same_json(rows, end):
    data = ("\n".join(rows) + "\n" * end).encode()
    fast = json_lines._fast(data, 0, LISTENS)
    slow = json_lines.JsonFields(data, LISTENS)
    if fast is not None:
        assert exact.parse_fields(fast, LISTENS).n_lines == exact.parse_fields(slow, LISTENS).n_lines
        kept, wanted = exact.parse_fields(fast, LISTENS), exact.parse_fields(slow, LISTENS)
        assert (kept.user, kept.artist) == (wanted.user, wanted.artist)
        assert kept.time.tolist() == wanted.time.tolist()
        assert kept.reject_lines.tolist() == wanted.reject_lines.tolist()


@given(st.lists(plain_objects.map(json.dumps), min_size=1, max_size=8))
def test_plain_json_takes_the_fast_path(rows):
    assert json_lines._fast("\n".join(rows).encode(), 0, LISTENS) is not None

"""What looks wrong about a source is said with its cause and the option that mends it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from lastfm_dask import IngestOptions, SchemaOptions, ingest
from lastfm_dask.errors import BadInputError
from lastfm_dask.ingestion.doubts import most_rejects

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b"".join(b"u%d\tartist %d\t%d\n" % (i, i % 7, i + 1) for i in range(200))
COLUMNS = ("user", "artist", "plays")


def warned(folder: Path, data: bytes, **options) -> list[str]:
    (folder / "log.txt").write_bytes(data)
    columns = options.pop("columns", COLUMNS)
    dataset = ingest(
        folder / "log.txt", folder / "log.dataset", IngestOptions(SchemaOptions(columns=columns, **options))
    )
    return dataset.manifest.content["warnings"]


def refused(folder: Path, data: bytes, max_rejects=None, **options) -> str:
    (folder / "log.txt").write_bytes(data)
    schema = SchemaOptions(columns=options.pop("columns", COLUMNS), **options)
    with pytest.raises(BadInputError) as caught:
        ingest(folder / "log.txt", folder / "log.dataset", IngestOptions(schema, max_rejects=max_rejects))
    assert not list(folder.glob("*.dataset"))
    return str(caught.value)


def test_a_source_without_doubt_warns_of_nothing(tmp_path):
    assert warned(tmp_path, GOOD + b"bad\n") == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            b"u,b,5\n" * 9,
            ["9 of 209", "line 201: field_count: b'u,b,5' (3 fields expected, 1 found)", "looks like ','"],
        ),
        (b"u\tb\tx\t5\n" * 9, ["3 fields expected, 4 found", "--columns"]),
        (b"u\tb\t3.5\n" * 9, ["--values float", "3.5"]),
        ("u\té\t5\n".encode("latin-1") * 9, ["--encoding cp1252"]),
        (b'u\t"a\tb"\t5\n' * 9, ["--quote"]),
        ((b"u\t" + b"b" * 2000 + b"\tmany\n") * 9, ["plays_not_a_number"]),
    ],
)
def test_many_rejects_are_said_with_the_first_and_the_likely_cause(tmp_path, bad, words):
    (warning,) = warned(tmp_path, GOOD + bad)
    assert all(word in warning for word in words), warning
    assert warning.count("\n  ") == 3


def test_quotes_without_the_option_are_said(tmp_path):
    (warning,) = warned(tmp_path, b'u1,"Muse",3\nu2,Muse,4\n', delimiter=",")
    assert "1 of 2 artists" in warning
    assert "--quote" in warning


def test_a_header_that_was_not_said_is_said(tmp_path):
    (warning,) = warned(tmp_path, b"user\tartist\tplays\n" + GOOD)
    assert "--header" in warning


def test_a_log_without_any_row_gets_the_line_that_reads_it(tmp_path, monkeypatch):
    message = refused(tmp_path, b"user;artist;plays\nu1;Muse;3\nu2;Muse;4\n")
    assert "3 fields expected, 1 found: the delimiter looks like ';'" in message
    (command,) = (line for line in message.split("\n") if "lastfm-dask ingest" in line)
    words = shlex.split(command.partition("lastfm-dask ")[2])
    assert "--columns" in words
    assert words[words.index("--delimiter") + 1] == ";"


def test_rejects_may_be_bounded_by_a_share(tmp_path):
    data = GOOD + b"bad\n" * 9
    assert "allowed are 4% (8)" in refused(tmp_path, data, "4%")
    (tmp_path / "log.txt").write_bytes(data)
    schema = SchemaOptions(columns=COLUMNS)
    ingest(tmp_path / "log.txt", tmp_path / "log.dataset", IngestOptions(schema, max_rejects="4.5%"))


@pytest.mark.parametrize("text", ["", "x", "-1", "101%", "-1%", "5%%", "nan%", "1.5"])
def test_what_bounds_nothing_is_refused(text):
    with pytest.raises(BadInputError, match="5%"):
        most_rejects(text, 100)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"user,artist,plays\nu1,muse,3 times\nu2,air,4 times\n", "no row"),
        (b"<!DOCTYPE html>\n<html><body>404, not found, sorry</body></html>\n", "a web page"),
        (b'[{"user": "a", "artist": "x", "plays": 1}]', "jq"),
    ],
)
def test_a_command_that_keeps_no_row_is_not_proposed(tmp_path, data, words):
    message = refused(tmp_path, data)
    assert "This may read it" not in message
    assert words in message


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"u, b, 5\n" * 9, "--delimiter ', '"),
        (b"u,b, 5 \n" * 9, "blanks around plays, such as ' 5 '"),
        (b"u,b,+5\n" * 9, "--values float"),
        (b"u,b,'5'\n" * 9, '--quote "\'"'),
    ],
)
def test_numbers_with_signs_around_them_get_their_own_hint(tmp_path, bad, words):
    (warning,) = warned(tmp_path, GOOD.replace(b"\t", b",") + bad, delimiter=",")
    assert words in warning


def test_fields_in_single_quotes_are_said(tmp_path):
    (warning,) = warned(tmp_path, b"u1,'Muse',3\nu2,'Air',4\n", delimiter=",")
    assert "2 of 2 artists begin and end with a quote, such as 'muse'" in warning

"""Remote sources without a server: what is said where a library or a protocol is missing, and ranges at the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources import files as sources
from lastfm_dask.sources import http_ranges as web

LINES = bytes(range(256)) * 40


@pytest.fixture
def memory_store():
    """fsspec's own store within the process: what holds for every file system is tested on it."""
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/logs/b.tsv", LINES[:99])
    fs.pipe("/logs/a.tsv", LINES)
    yield fs
    fs.rm("/logs", recursive=True)


def test_any_file_system_of_fsspec_is_listed_and_read(memory_store):
    found = sources.find(["memory://logs/*.tsv"])
    assert [(file.path, file.size_bytes) for file in found] == [
        ("memory:///logs/a.tsv", len(LINES)),
        ("memory:///logs/b.tsv", 99),
    ]
    with sources.open_ranges(found[0].path) as read:
        assert read(5, 10) == LINES[5:15]
        assert read(len(LINES) - 3, 10) == LINES[-3:]
        assert read(len(LINES), 10) == b""


def test_a_store_that_gives_too_little_is_not_believed(memory_store, monkeypatch):
    monkeypatch.setattr(memory_store, "cat_file", lambda _, start, end: LINES[start : end - 1])
    with (
        sources.open_ranges("memory://logs/a.tsv") as read,
        pytest.raises(BadInputError, match="asked for 10") as it,
    ):
        read(5, 10)
    assert isinstance(it.value.__cause__, OSError)


def test_a_missing_library_is_named_by_its_extra():
    code = (
        "import sys\n"
        "from lastfm_dask.errors import BadInputError\n"
        "from lastfm_dask.sources import files as sources\n"
        "sys.modules['s3fs'] = sys.modules['aiohttp'] = None\n"
        "for path in ('s3://place/log.tsv', 'http://place/log.tsv', 'https://place/log.tsv'):\n"
        "    try:\n"
        "        sources.find([path])\n"
        "    except BadInputError as error:\n"
        "        print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [line.split(":")[0] for line in said] == ["s3", "http", "https"]
    for line, extra in zip(said, ("s3", "http", "http"), strict=True):
        assert f"pip install 'lastfm_dask[{extra}]'" in line


def test_an_unknown_protocol_is_refused_with_those_that_are_served():
    with pytest.raises(BadInputError, match=r"gopher:// is not supported; use a local path, s3://, http://"):
        sources.find(["gopher://place/log.tsv"])


@pytest.mark.parametrize(
    ("header", "total"), [("bytes 0-9/1234", 1234), ("bytes */1234", 1234), ("bytes 0-9/*", None), ("", None)]
)
def test_a_range_that_tells_no_size_is_none(header, total):
    assert web._total(header) == total

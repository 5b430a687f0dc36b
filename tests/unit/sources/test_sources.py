"""Which files a source is, ranges and streams of them, and what is said where they can't be read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections import deque
from functools import partial
from pathlib import Path

import pytest
import zstandard

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.archives import ARCHIVE_MEMBER
from lastfm_dask.sources.files import (
    SourceFile,
    compression_of,
    find,
    open_ranges,
    open_stream,
    refuse_changed,
)

DATA = bytes(range(256)) * 700


@pytest.fixture
def folder(tmp_path):
    for name in ("b.tsv", "a.tsv", "a[1].tsv", "sub/c.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_files_come_in_the_order_given_and_globs_sorted(folder):
    def names(*patterns):
        return [
            os.path.relpath(file.path, folder) for file in find([folder / pattern for pattern in patterns])
        ]

    assert names("b.tsv", "a.tsv") == ["b.tsv", "a.tsv"]
    assert names("*.tsv") == ["a.tsv", "a[1].tsv", "b.tsv"]
    assert names("**/c.tsv", "b.tsv", "b.tsv") == ["sub/c.tsv", "b.tsv", "b.tsv"]
    # A name that exists is that file, whatever it would match as a pattern.
    assert names("a[1].tsv") == ["a[1].tsv"]


def test_size_version_and_packing_are_said(folder):
    (file,) = find([str(folder / "a.tsv")])
    found = (folder / "a.tsv").stat()
    assert file == SourceFile(str(folder / "a.tsv"), found.st_size, str(found.st_mtime_ns), "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(
            ("x.tsv", ""),
            ("gz", ""),
            ("x.gz.tsv", ""),
            ("x.TSV.GZ", "gzip"),
            ("x.bz2", "bzip2"),
            ("x.zst", "zstd"),
        ),
        ("x.ZIP", "zip"),
        *((name, "tar") for name in ("x.tar", "x.tar.gz", "x.TGZ", "x.tar.bz2")),
    ],
)
def test_packing_is_known_by_the_name(name, kind):
    assert compression_of(name) == kind


@pytest.mark.parametrize("name", ["x.lzma", "x.lz4", "x.7z", "x.rar"])
def test_packing_that_is_not_read_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"data")
    with pytest.raises(BadInputError, match=r"\.gz, \.bz2, \.xz, \.zst"):
        find([tmp_path / name])


def test_what_is_missing_empty_or_no_file_is_named(folder):
    (folder / "empty").write_bytes(b"")
    for pattern, words in (
        ("none.tsv", "No such file"),
        ("none*.tsv", "no file matches"),
        ("sub", "is a folder, and no file .* ends in .parquet"),
        ("empty", "empty"),
        ("su*", "is a folder, and no"),
    ):
        with pytest.raises(BadInputError, match=words) as caught:
            find([folder / pattern])
        assert pattern.rstrip("*") in str(caught.value)
        assert caught.value.path
    with pytest.raises(BadInputError, match="no source"):
        find([])
    assert len(find([folder / "empty", folder / "a.tsv"])) == 2


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(BadInputError, match="is a pipe or a device"):
            find([path])


def test_ranges_are_what_lies_there(tmp_path):
    (tmp_path / "x").write_bytes(DATA)
    with open_ranges(str(tmp_path / "x")) as read:
        for start, n in ((0, 10), (5, 0), (len(DATA) - 3, 10), (len(DATA) + 9, 4), (1000, 100_000)):
            assert read(start, n) == DATA[start : start + n]


def packed(name: str, members=((f"folder/{ARCHIVE_MEMBER}", DATA),)) -> bytes:
    if "tar" not in name:
        how = {
            ".gz": gzip.compress,
            ".bz2": bz2.compress,
            ".xz": lzma.compress,
            ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
        }
        return how[Path(name).suffix](DATA)
    buffer = io.BytesIO()
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(Path(name).suffix, "w")
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for member, data in members:
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor(write_checksum=True).compress(buffer.getvalue())
    return buffer.getvalue()


NAMES = ["x.gz", "x.bz2", "x.xz", "x.zst", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst"]


@pytest.mark.parametrize("name", NAMES)
def test_streams_are_unpacked_and_may_be_left_early(tmp_path, name):
    (tmp_path / name).write_bytes(packed(name))
    (file,) = find([tmp_path / name])
    with open_stream(file) as stream:
        assert stream.read() == DATA
    with open_stream(file) as stream:
        assert stream.read(1000) == DATA[:1000]


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_said_with_the_file(tmp_path, name):
    whole = packed(name)
    for damaged in (
        whole[: len(whole) // 2],
        whole[:20] + b"\xff\x00" * 60 + whole[140:],
        b"no such thing" * 99,
    ):
        (tmp_path / name).write_bytes(damaged)
        (file,) = find([tmp_path / name])
        if name == "x.tar" and damaged[:140] == whole[:140]:
            continue
        with pytest.raises(BadInputError, match=name), open_stream(file) as stream:
            deque(iter(partial(stream.read, 1000), b""))


@pytest.mark.parametrize("name", ["x.tar", "x.tar.zst", "x.tar.xz"])
def test_the_many_files_of_one_log_are_one_stream(tmp_path, name):
    members = (
        ("d/README", b"no"),
        ("d/2005/1.listens", b"a\nb"),
        ("d/2005/2.listens", b""),
        ("d/2006/1.listens", DATA),
    )
    (tmp_path / name).write_bytes(packed(name, members))
    (file,) = find([tmp_path / name])
    with open_stream(file) as stream:
        assert stream.read() == b"a\nb\n" + DATA + b"\n" * (not DATA.endswith(b"\n"))


def test_an_archive_without_the_log_lists_what_it_holds(tmp_path):
    other = (("a/b.tsv", b"x"), (f"{ARCHIVE_MEMBER}.txt", b"y"))
    for name, members, words in (("x.tar.gz", other, "a/b.tsv"), ("y.tar", (), "nothing")):
        (tmp_path / name).write_bytes(packed(name, members))
        (file,) = find([tmp_path / name])
        with pytest.raises(BadInputError, match=words), open_stream(file):
            pass


def test_an_error_of_the_caller_passes_as_it_is(tmp_path):
    (tmp_path / "x.gz").write_bytes(packed("x.gz"))
    (file,) = find([tmp_path / "x.gz"])
    with pytest.raises(OSError, match="No space"), open_stream(file):
        raise OSError(28, "No space left")


def test_files_that_changed_are_named(folder):
    files = find([folder / "a.tsv", folder / "b.tsv"])
    refuse_changed(files)
    (folder / "b.tsv").write_bytes(b"longer than before")
    with pytest.raises(BadInputError, match=r"b\.tsv changed while it was read") as caught:
        refuse_changed(files)
    assert "a.tsv" not in str(caught.value)
    (folder / "b.tsv").unlink()
    with pytest.raises(BadInputError, match=r"b\.tsv"):
        refuse_changed(files)


def test_standard_input_is_no_source_and_says_what_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=r"standard input.*save it to a file first"):
        find(["-"])
    (tmp_path / "-").write_bytes(b"u\ta\t1\n")
    assert find(["-"])[0].size_bytes == 6


@pytest.mark.parametrize(
    ("names", "glob"), [(["a.csv", "b.csv", "notes.md"], "*.csv"), (["x.tsv.gz"], "*.tsv.gz"), ([], "*.tsv")]
)
def test_a_folder_of_text_says_the_glob_that_names_its_files(tmp_path, names, glob):
    for name in names:
        (tmp_path / name).write_bytes(b"u\ta\t1\n")
    with pytest.raises(BadInputError) as caught:
        find([tmp_path])
    assert str(caught.value).endswith(f"{tmp_path}/{glob}")

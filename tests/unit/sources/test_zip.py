"""Zip archives: the log in them is read as a stream; another choice, damage and a password are said."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from typing import TYPE_CHECKING

import fsspec
import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.archives import ARCHIVE_MEMBER
from lastfm_dask.sources.files import find, open_stream

if TYPE_CHECKING:
    from pathlib import Path

RNG = random.Random(0)
LOG = b"".join(b"u%d\tartist %d\t%d\n" % (i, RNG.randrange(999), RNG.randrange(1, 99)) for i in range(3000))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def read(path: Path | str, n_bytes: int = 1000) -> bytes:
    (file,) = find([path])
    with open_stream(file) as stream:
        return b"".join(iter(lambda: stream.read(n_bytes), b""))


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(BadInputError) as caught:
        read(path)
    return str(caught.value)


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "members",
    [
        [("plays.csv", LOG)],
        [
            ("folder/", b""),
            ("folder/plays.csv", LOG),
            ("__MACOSX/folder/._plays.csv", b"x"),
            ("folder/.DS_Store", b"y"),
        ],
        [("ml/README.txt", b"no"), ("ml/ratings.csv", LOG), ("ml/movies.csv", b"no")],
        [(f"deep/{ARCHIVE_MEMBER}", LOG), ("b", b"no")],
    ],
)
def test_the_one_file_or_the_published_one_is_read(tmp_path, members, method):
    (tmp_path / "x.zip").write_bytes(zipped(*members, method=method))
    assert read(tmp_path / "x.zip") == LOG


def test_an_address_is_read_too():
    store = fsspec.filesystem("memory")
    store.pipe("/zips/x.zip", zipped(("plays.csv", LOG)))
    assert read("memory://zips/x.zip") == LOG
    store.rm("/zips", recursive=True)


def test_a_zip_of_several_files_or_none_says_what_to_do(tmp_path):
    said = refused(tmp_path / "x.zip", zipped(("a.csv", LOG), ("b.csv", LOG)))
    assert "a.csv, b.csv" in said
    assert "unpack the one that you want" in said
    assert "nothing" in refused(tmp_path / "x.zip", zipped())


@pytest.mark.parametrize("method", METHODS)
def test_damage_is_never_read_as_other_data(tmp_path, method):
    whole = zipped(("plays.csv", LOG), method=method)
    rng = random.Random(1)
    n_refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (tmp_path / "x.zip").write_bytes(damaged)
        try:
            assert read(tmp_path / "x.zip") == LOG
        except BadInputError:
            n_refused += 1
    assert n_refused > 50
    for end in (1, 30, len(whole) // 2, len(whole) - 5):
        assert "can't be unpacked" in refused(tmp_path / "x.zip", whole[:end])


def test_a_password_or_an_unknown_method_is_said(tmp_path):
    whole = bytearray(zipped(("plays.csv", LOG)))
    head, entry = whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")
    locked = whole.copy()
    locked[head + 6] |= 1
    locked[entry + 8] |= 1
    assert "password" in refused(tmp_path / "x.zip", bytes(locked))
    other = whole.copy()
    struct.pack_into("<H", other, head + 8, 9)
    struct.pack_into("<H", other, entry + 10, 9)
    assert "unpack it first" in refused(tmp_path / "x.zip", bytes(other))

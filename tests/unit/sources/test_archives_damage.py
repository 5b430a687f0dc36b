"""Archives that are damaged, cut, or say more than they hold: refused, never read as other data."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from typing import TYPE_CHECKING

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.archives import ARCHIVE_MEMBER
from lastfm_dask.sources.files import SourceFile, open_stream

if TYPE_CHECKING:
    from pathlib import Path

RNG = random.Random(0)
LOG = b"".join(
    b"%040x\t\tartist %d\t%d\n" % (RNG.getrandbits(160), RNG.randrange(999), RNG.randrange(1, 99))
    for _ in range(2000)
)
PACK = {"": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def tar_of(*members: tuple[str, bytes], size: int | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def declaring(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def read(path: Path, data: bytes, compression: str = "tar") -> bytes:
    path.write_bytes(data)
    with open_stream(SourceFile(str(path), len(data), "0", compression)) as stream:
        found = b""
        while piece := stream.read(1 << 16):
            found += piece
    return found


def refused(path: Path, data: bytes, compression: str = "tar") -> bool:
    try:
        return read(path, data, compression) != LOG and pytest.fail("other data was read")
    except BadInputError as error:
        return str(path) in str(error)


@pytest.mark.parametrize("kind", PACK)
def test_a_whole_archive_is_read_whatever_lies_around_the_log(tmp_path, kind):
    archive = tar_of(("a", b"x" * 99999), (f"deep/er/{ARCHIVE_MEMBER}", LOG), ("b", b"y" * 50000))
    assert read(tmp_path / "x.tar", PACK[kind](archive)) == LOG


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("in_tar", [True, False])
def test_a_flipped_bit_is_never_read_as_other_data(tmp_path, kind, in_tar):
    packed = PACK[kind](tar_of((ARCHIVE_MEMBER, LOG)) if in_tar else LOG)
    compression = "tar" if in_tar else {"gz": "gzip", "bz2": "bzip2", "xz": "xz"}[kind]
    rng = random.Random(1)
    n_refused = 0
    for _ in range(60):
        damaged = bytearray(packed)
        # Not the header, whose time and flags say nothing of the data.
        damaged[rng.randrange(20, len(damaged))] ^= 1 << rng.randrange(8)
        n_refused += refused(tmp_path / "x", bytes(damaged), compression)
    assert n_refused > 55
    damaged = bytearray(packed)
    damaged[len(damaged) // 2 : len(damaged) // 2 + 500] = bytes(500)
    assert refused(tmp_path / "x", bytes(damaged), compression)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_an_archive_that_is_cut_is_refused(tmp_path, kind):
    packed = PACK[kind](tar_of((ARCHIVE_MEMBER, LOG)))
    for end in (0, 1, 11, len(packed) // 2, len(packed) - 5):
        assert refused(tmp_path / "x", packed[:end])


def test_a_tar_that_is_cut_within_the_log_is_refused(tmp_path):
    assert refused(tmp_path / "x", tar_of((ARCHIVE_MEMBER, LOG))[: 512 + len(LOG) // 2])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["other.bin", ARCHIVE_MEMBER])
@pytest.mark.parametrize("size", [1 << 50, 5000])
def test_a_member_that_declares_more_than_there_is_ends(tmp_path, name, pack, size):
    assert refused(tmp_path / "x", pack(declaring(name, size)))
    assert refused(tmp_path / "x", pack(declaring(name, size) + b"u\t\ta\t1\n" * 100))


@pytest.mark.timeout(30)
def test_a_member_with_holes_is_refused(tmp_path):
    info = tarfile.TarInfo(ARCHIVE_MEMBER)
    info.type = tarfile.GNUTYPE_SPARSE
    data = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    # One piece of no bytes, at the end of 2^50 that are a hole.
    data[386:398], data[398:410] = b"%011o\0" % 0, b"%011o\0" % 0
    data[483:495] = b"\x80" + (1 << 50).to_bytes(11, "big")
    head = tarfile.TarInfo.frombuf(bytes(info.tobuf(tarfile.GNU_FORMAT)), "utf-8", "strict")
    assert head.name == ARCHIVE_MEMBER
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert refused(tmp_path / "x", bytes(data) + bytes(1024))


def test_gzip_members_are_joined_and_garbage_behind_them_is_refused(tmp_path):
    half = len(LOG) // 2
    joined = gzip.compress(LOG[:half]) + gzip.compress(LOG[half:])
    assert read(tmp_path / "x", joined, "gzip") == LOG
    assert read(tmp_path / "x", joined + bytes(512), "gzip") == LOG
    assert refused(tmp_path / "x", joined + b"garbage", "gzip")
    archive = tar_of((ARCHIVE_MEMBER, LOG))
    assert read(tmp_path / "x", gzip.compress(archive[:700]) + gzip.compress(archive[700:])) == LOG
    assert refused(tmp_path / "x", gzip.compress(archive) + b"garbage")


def test_garbage_is_no_archive(tmp_path):
    for data in (b"u\t\ta\t1\n" * 300, bytes(5000), RNG.randbytes(5000)):
        assert refused(tmp_path / "x", data)


def test_a_log_that_is_left_early_is_not_drained(tmp_path):
    path = tmp_path / "x.tar.gz"
    data = bytearray(gzip.compress(tar_of((ARCHIVE_MEMBER, LOG), ("rest", RNG.randbytes(9 << 20)))))
    data[-6] ^= 1
    path.write_bytes(data)
    with open_stream(SourceFile(str(path), len(data), "0", "tar")) as stream:
        assert stream.read(100) == LOG[:100]


def test_a_source_that_went_is_named(tmp_path):
    with (
        pytest.raises(BadInputError, match=r"gone\.gz can't be read any more: No such file"),
        open_stream(SourceFile(str(tmp_path / "gone.gz"), 1, "0", "gzip")),
    ):
        pytest.fail("it was opened")

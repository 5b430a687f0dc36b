"""The log inside an archive, as a stream, found by its published name in any folder.

ListenBrainz publishes many `.listens` files in one archive. They are read one after the other as one log, and line
numbers continue from file to file.
"""

from __future__ import annotations

import bz2
import errno
import fnmatch
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO, Self

ARCHIVE_MEMBER = "usersha1-artmbid-artname-plays.tsv"
MEMBERS = (
    ARCHIVE_MEMBER,
    "userid-timestamp-artid-artname-traid-traname.tsv",
    "user_artists.dat",
    "user_artist_data.txt",
    "train_triplets.txt",
    "LFM-1b_LEs.txt",
    "listening-events.tsv",
    "u.data",
    "ratings.dat",
    "ratings.csv",
)
"""Published names of logs; the first member with one of these names is read."""
JOINED = "*.listens"
_STREAM_BYTES = 1 << 20
_HEAD_BYTES = 6
_MOST_BEYOND = 4
_SHOWN_NAMES = 20


def open_member(packed: Any, path: str) -> Iterator[Any]:
    """Yield the stream of the log within a tar archive, which may be compressed with gzip, bzip2 or xz.

    Reading the log to its end also reads the archive to its end, where the compression keeps its checksum.
    """
    names = []
    with (
        _Whole(_decompressed(packed)) as whole,
        tarfile.open(fileobj=cast("Any", whole), mode="r|", bufsize=_STREAM_BYTES) as archive,
    ):
        for member in archive:
            names.append(member.name)
            name = member.name.rsplit("/", 1)[-1]
            if member.isfile() and name in MEMBERS:
                yield _ToTheEnd(_stream_of(archive, member), whole)
                return
            if member.isfile() and fnmatch.fnmatch(name, JOINED):
                with io.BufferedReader(_Members(archive, member), _STREAM_BYTES) as stream:
                    yield _ToTheEnd(stream, whole)
                return
    raise _without_log(path, names)


def _without_log(path: str, names: Sequence[str]) -> BadInputError:
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    msg = (
        f"{path} holds no log of a name that is known, only {', '.join(names[:_SHOWN_NAMES]) or 'nothing'}{more}:"
        f" unpack the one that you want, and name that (known are {', '.join((*MEMBERS, JOINED))})"
    )
    return BadInputError(msg, path=path)


def open_zipped(packed: BinaryIO, path: str) -> Iterator[Any]:
    """Yield the stream of the log within a zip archive: of a published name, or the one file in it.

    The checksum is verified at the end of the stream.
    """
    with _zip_opened(path), zipfile.ZipFile(packed) as archive:
        members = [member for member in archive.infolist() if not _is_litter(member.filename)]
        known = [member for member in members if member.filename.rsplit("/", 1)[-1] in MEMBERS]
        if not known and len(members) != 1:
            raise _without_log(path, [member.filename for member in members])
        stream = archive.open((known or members)[0])
    with stream:
        yield stream


def _is_litter(name: str) -> bool:
    """Whether a member is a folder, or what a Mac puts beside files."""
    return name.endswith(("/", "/.DS_Store")) or name.startswith("__MACOSX/")


@contextmanager
def _zip_opened(path: str) -> Iterator[None]:
    """Turn what `zipfile` raises for an unsupported or damaged archive into BadInputError."""
    try:
        yield
    except BadInputError:
        raise
    except (RuntimeError, ValueError, struct.error, OverflowError, OSError) as error:
        # EINVAL means an offset before the start of the file; other OSErrors do not come from the archive.
        if getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise
        msg = f"{path} can't be unpacked here: {error}; unpack it first"
        raise BadInputError(msg, path=path) from error


def _decompressed(packed: Any) -> Any:
    """Return a file's bytes as a stream; if its first bytes show compression, unpack it and verify its checksums.

    `tarfile` could unpack it too, but never reaches gzip's checksum.
    """
    buffered = io.BufferedReader(packed, _STREAM_BYTES) if isinstance(packed, io.RawIOBase) else packed
    head = buffered.read(_HEAD_BYTES)
    stream = io.BufferedReader(_Joined(head, buffered), _STREAM_BYTES)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(stream)
    return stream


class _Joined(io.RawIOBase):
    """A stream with the bytes that were already read from it put back in front."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _Whole:
    """A stream that refuses reads far beyond its end: `tarfile` reads on for as many bytes as a member declares."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._n_beyond = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, n_bytes: int) -> bytes:
        data: bytes = self._stream.read(n_bytes)
        self._n_beyond = 0 if data else self._n_beyond + 1
        if self._n_beyond > _MOST_BEYOND:
            msg = "it ends within a member"
            raise tarfile.ReadError(msg)
        return data


class _ToTheEnd:
    """The log; at its end, the rest of the archive is read too."""

    def __init__(self, log: Any, archive: _Whole) -> None:
        self._log = log
        self._archive = archive
        self._has_ended = False

    def read(self, n_bytes: int = -1) -> bytes:
        data: bytes = self._log.read(n_bytes)
        if not data and n_bytes and not self._has_ended:
            self._has_ended = True
            while self._archive.read(_STREAM_BYTES):
                pass
        return data


def _stream_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    if member.issparse():
        msg = f"{member.name} is stored with holes: unpack it first"
        raise tarfile.ReadError(msg)
    stream = archive.extractfile(member)
    assert stream is not None, "a regular file has a stream"
    return stream


class _Members(io.RawIOBase):
    """All members that match `JOINED`, from the first one on; each ends with a line end."""

    def __init__(self, archive: tarfile.TarFile, first: tarfile.TarInfo) -> None:
        self._archive = archive
        self._stream = _stream_of(archive, first)
        self._last = b"\n"
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._is_done:
            data = self._stream.read(len(buffer))
            if not data and self._last != b"\n":
                data = b"\n"
            if data:
                buffer[: len(data)] = data
                self._last = data[-1:]
                return len(data)
            while (member := self._archive.next()) is not None:
                if member.isfile() and fnmatch.fnmatch(member.name.rsplit("/", 1)[-1], JOINED):
                    break
            if member is None:
                self._is_done = True
            else:
                self._stream = _stream_of(self._archive, member)
        return 0

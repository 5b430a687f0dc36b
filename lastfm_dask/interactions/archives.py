"""The log inside an archive, as a stream: found by its published name, whatever folder it lies in.

ListenBrainz publishes many `.listens` files in one archive: they are read one after the other, as one log, whose lines
are numbered through.
"""

from __future__ import annotations

import fnmatch
import io
import tarfile
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

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
"""Logs by the names that their publishers gave them; the first member of one of these names is read."""
JOINED = "*.listens"
_STREAM_BYTES = 1 << 20


def open_member(packed: BinaryIO, path: str) -> Iterator[Any]:
    """Yield the stream of the log within a tar archive, which may be compressed as `tarfile` knows."""
    names = []
    with tarfile.open(fileobj=packed, mode="r|*") as archive:
        for member in archive:
            names.append(member.name)
            name = member.name.rsplit("/", 1)[-1]
            if member.isfile() and name in MEMBERS:
                yield _stream_of(archive, member)
                return
            if member.isfile() and fnmatch.fnmatch(name, JOINED):
                with io.BufferedReader(_Members(archive, member), _STREAM_BYTES) as stream:
                    yield stream
                return
    msg = (
        f"{path} holds no log of a name that is known, only {', '.join(names) or 'nothing'}: unpack the one that you"
        f" want (known are {', '.join((*MEMBERS, JOINED))})"
    )
    raise BadInputError(msg, path=path)


def _stream_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
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

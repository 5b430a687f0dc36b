"""The published Last.fm 360K log as its publisher describes it, and a file's checksums to compare with that.

Covers facts and checksums; `reader` reads the rows.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.archives import ARCHIVE_MEMBER
from lastfm_dask.sources.files import find, open_stream
from lastfm_dask.sources.source_file import SourceFile, is_remote

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as its publisher describes it; the size is None if the publisher gives none to the byte."""

    name: str
    md5: str
    size_bytes: int | None = None


LOG = PublishedFile(ARCHIVE_MEMBER, "be672526eb7c69495c27ad27803148f1")
ARCHIVE = PublishedFile("lastfm-dataset-360K.tar.gz", "635e6ed3fc873aa4ba33aba0ebce02b1", 569_202_935)
FILES = (LOG, ARCHIVE)

N_LINES = 17_559_530
N_USERS = 359_347
N_ARTISTS_WITH_MBID = 186_642
N_ARTISTS_WITHOUT_MBID = 107_373
"""The publisher's README about the log."""
N_USER_VALUES = 359_349
N_ARTIST_NAMES = 292_589
"""What splitting at the delimiter finds: user values, two of which are dates, and artist names as written."""
N_BYTES = 1_640_000_000
"""About its size, unpacked."""


@dataclass(frozen=True, slots=True)
class Checksums:
    """What one read of a file found.

    Attributes
    ----------
    file : SourceFile
        The file as it was found before the read.
    size_bytes : int
        How many bytes were read; of a compressed file, as stored.
    md5, sha256 : str
        Hexadecimal digits, of the bytes as stored.
    log_md5 : str or None
        Of the log inside a compressed file or archive; None for a plain file.
    """

    file: SourceFile
    size_bytes: int
    md5: str
    sha256: str
    log_md5: str | None = None

    @property
    def published(self) -> PublishedFile | None:
        """The published file with this MD5, or the published log in another packing."""
        return next((known for known in FILES if known.md5 in (self.md5, self.log_md5)), None)

    @property
    def mistaken_for(self) -> PublishedFile | None:
        """The published archive whose name or size this file has, if its bytes differ."""
        if self.published is not None:
            return None
        name = Path(self.file.path).name
        return next(
            (
                known
                for known in FILES
                if known.size_bytes and (name == known.name or self.size_bytes == known.size_bytes)
            ),
            None,
        )


def checksums(path: str | PathLike[str], progress: Callable[[int, int], None] | None = None) -> Checksums:
    """Read one local file to its end and return its checksums; of a compressed one the log's too.

    Parameters
    ----------
    path : path-like
        The file.
    progress : callable, optional
        Called with how many bytes of the file were read so far, and how many it has.

    Raises
    ------
    BadInputError
        If the file is missing, unreadable, empty or damaged, or is an address, or changed while it was read.
    """
    files = () if is_remote(os.fspath(path)) else find([path])
    if len(files) != 1:
        msg = f"{path}: name one file on this machine; download an address first, and name the files of a glob one by one"
        raise BadInputError(msg, path=os.fspath(path))
    file = files[0]
    with Path(file.path).open("rb") as stream:
        n_bytes, md5, sha256 = _digest(
            stream, lambda done: progress(done, file.size_bytes) if progress else None
        )
    if n_bytes != file.size_bytes:
        msg = f"{file.path} had {file.size_bytes} bytes and {n_bytes} were read: it is being written; try again later"
        raise BadInputError(msg, path=file.path)
    found = Checksums(file, n_bytes, md5, sha256)
    if not file.compression or found.published or found.mistaken_for:
        return found
    with open_stream(file) as stream:
        return replace(found, log_md5=_digest(stream, lambda _: None)[1])


def _digest(stream: BinaryIO, progress: Callable[[int], None]) -> tuple[int, str, str]:
    md5, sha256, n_bytes = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK_BYTES):
        md5.update(chunk)
        sha256.update(chunk)
        n_bytes += len(chunk)
        progress(n_bytes)
    return n_bytes, md5.hexdigest(), sha256.hexdigest()

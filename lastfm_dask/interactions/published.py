"""The published Last.fm 360K log as its publisher describes it, and a file's checksums to compare with that.

Covers facts and checksums; what a log holds is `reader`'s business.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.sources import ARCHIVE_MEMBER, SourceFile, find, open_stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import BinaryIO

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as its publisher describes it; the size is None where the publisher gives none to the byte."""

    name: str
    md5: str
    size_bytes: int | None = None


LOG = PublishedFile(ARCHIVE_MEMBER, "be672526eb7c69495c27ad27803148f1")
ARCHIVE = PublishedFile("lastfm-dataset-360K.tar.gz", "635e6ed3fc873aa4ba33aba0ebce02b1", 569_202_935)
FILES = (LOG, ARCHIVE)


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
        """The published file whose MD5 this one has; also the log, where it is packed otherwise."""
        return next((known for known in FILES if known.md5 in (self.md5, self.log_md5)), None)

    @property
    def mistaken_for(self) -> PublishedFile | None:
        """The published file that this one has the name of an archive or the size of, but not the MD5."""
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


def checksums(path: str | PathLike[str], progress: Callable[[int], None] | None = None) -> Checksums:
    """Read one local file to its end and return its checksums; of a compressed one the log's too.

    Parameters
    ----------
    path : path-like
        The file.
    progress : callable, optional
        Called with the bytes of each piece of the file that was read.

    Raises
    ------
    BadInputError
        Where the file is missing, unreadable or empty, or is an address, or changed while it was read.
    """
    files = find([path])
    if len(files) != 1 or "://" in files[0].path:
        msg = f"{path}: one file on this machine is wanted; fetch an address, and name the files of a glob one by one"
        raise BadInputError(msg, path=str(path))
    file = files[0]
    with Path(file.path).open("rb") as stream:
        n_bytes, md5, sha256 = _digest(stream, progress)
    if n_bytes != file.size_bytes:
        msg = f"{file.path} had {file.size_bytes} bytes and {n_bytes} were read: it is being written; try again later"
        raise BadInputError(msg, path=file.path)
    log_md5 = None
    if file.compression and md5 not in {known.md5 for known in FILES}:
        with open_stream(file) as stream:
            log_md5 = _digest(stream)[1]
    return Checksums(file, n_bytes, md5, sha256, log_md5)


def _digest(stream: BinaryIO, progress: Callable[[int], None] | None = None) -> tuple[int, str, str]:
    md5, sha256, n_bytes = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK_BYTES):
        md5.update(chunk)
        sha256.update(chunk)
        n_bytes += len(chunk)
        if progress is not None:
            progress(len(chunk))
    return n_bytes, md5.hexdigest(), sha256.hexdigest()

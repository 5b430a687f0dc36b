"""Where the bytes come from: files and globs found, ranges read, compressed files and archives streamed.

This module handles local paths; `remote` handles addresses with `://` through the same three functions.
"""

from __future__ import annotations

import glob
import os
import stat
import tarfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.archives import open_member, open_zipped
from lastfm_dask.sources.source_file import SourceFile, columnar_within, compression_of, is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO


def find(patterns: Sequence[str | os.PathLike[str]]) -> tuple[SourceFile, ...]:
    """Return the files that paths, addresses and globs name, in the order given, each glob's sorted.

    Raises
    ------
    BadInputError
        If a path is missing or not a readable file, a glob matches nothing, or all files are empty.
    """
    files: list[SourceFile] = []
    for pattern in [os.fspath(pattern) for pattern in patterns]:
        if is_remote(pattern):
            from lastfm_dask.sources import remote

            files += remote.find(pattern)
        else:
            files += [_local(path) for path in _expand(pattern)]
    if not files:
        msg = "no source was given: name a file, several, or a glob"
        raise BadInputError(msg)
    if not any(file.size_bytes for file in files):
        msg = f"{', '.join(file.path for file in files)}: empty: a log with at least one line is wanted"
        raise BadInputError(msg, path=files[0].path)
    return tuple(files)


def _expand(pattern: str) -> list[str]:
    if os.path.isdir(pattern):  # noqa: PTH112 - paths stay as they were given
        return _within(pattern)
    if os.path.lexists(pattern) or not glob.has_magic(pattern):
        return [pattern]
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        msg = f"{pattern}: no file matches this pattern"
        raise BadInputError(msg, path=pattern)
    return [path for name in found for path in ([name] if not os.path.isdir(name) else _within(name))]  # noqa: PTH112


def _within(folder: str) -> list[str]:
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    return columnar_within(paths, folder)


def _local(path: str) -> SourceFile:
    if path == "-" and not os.path.lexists(path):
        msg = "-: standard input can't be read, because a log is read at several places at once: save it to a file first"
        raise BadInputError(msg, path=path)
    try:
        found = os.stat(path)  # noqa: PTH116 - paths stay as they were given
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            # Opening a pipe that nobody writes to would wait for ever.
            msg = f"{path} is a pipe or a device, and a log is read at several places at once: save it to a file first"
            raise BadInputError(msg, path=path)
        with open(path, "rb"):  # noqa: PTH123 - tells directories and unreadable files apart
            pass
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror}; name a file that exists and is readable"
        raise BadInputError(msg, path=path) from error
    return SourceFile(path, found.st_size, str(found.st_mtime_ns), compression_of(path))


def refuse_changed(files: Sequence[SourceFile]) -> None:
    """Raise BadInputError if a file has changed since it was found."""
    changed = [file.path for file in files if _look_again(file) != replace(file, label="")]
    if changed:
        msg = (
            f"{', '.join(changed)} changed while it was read: wait until nothing writes to it, and call again"
        )
        raise BadInputError(msg, path=changed[0])


def _look_again(file: SourceFile) -> SourceFile | None:
    if not is_remote(file.path):
        return _local(file.path)
    from lastfm_dask.sources import remote

    return next(iter(remote.find(file.path)), None)


@contextmanager
def open_ranges(path: str) -> Iterator[Callable[[int, int], bytearray]]:
    """Give a function `read(offset, n_bytes)` for one file; it returns fewer bytes only at the file's end."""
    if is_remote(path):
        from lastfm_dask.sources import remote

        with remote.open_ranges(path) as read:
            yield read
        return
    with _told_when_gone(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_local(offset: int, n_bytes: int) -> bytearray:
        data = bytearray(n_bytes)
        n_read = 0
        with memoryview(data) as view:
            while n_read < n_bytes and (n := os.preadv(descriptor, [view[n_read:]], offset + n_read)):
                n_read += n
        del data[n_read:]
        return data

    try:
        yield read_local
    finally:
        os.close(descriptor)


@contextmanager
def open_stream(file: SourceFile) -> Iterator[Any]:
    """Give the unpacked bytes of a compressed file or archive as a stream; see `unpacked`."""
    with open_packed(file.path) as packed, unpacked(packed, file) as stream:
        yield stream


@contextmanager
def unpacked(packed: BinaryIO, file: SourceFile) -> Iterator[Any]:
    """Give the unpacked bytes of a compressed file or archive as a stream; nothing is unpacked to disk.

    Raises
    ------
    BadInputError
        If the archive lacks the log (its members are listed) or the compressed data is damaged.
    """
    import bz2
    import gzip
    import lzma
    import zipfile
    import zlib

    damaged = (
        EOFError,
        zlib.error,
        lzma.LZMAError,
        tarfile.TarError,
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        OSError,
    )
    try:
        if file.compression == "tar":
            yield from open_member(packed, file.path)
        elif file.compression == "zip":
            yield from open_zipped(packed, file.path)
        elif file.compression in ("zstd", "tar-zstd"):
            import pyarrow as pa

            # Not zstandard's reader, which accepts a truncated file as complete.
            with pa.CompressedInputStream(pa.PythonFile(packed, "r"), "zstd") as stream:
                if file.compression == "zstd":
                    yield stream
                else:
                    yield from open_member(stream, file.path)
        else:
            openers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}
            with openers[file.compression](packed) as stream:
                yield stream
    except damaged as error:
        if isinstance(error, BadInputError) or getattr(error, "errno", None):
            raise
        msg = f"{file.path} can't be unpacked: {error}; fetch it again, and compare its checksum"
        raise BadInputError(msg, path=file.path) from error


@contextmanager
def open_packed(path: str) -> Iterator[BinaryIO]:
    """Give a file's stored bytes as a stream that reports how far it was read."""
    if is_remote(path):
        from lastfm_dask.sources import remote

        with remote.open_stream(path) as stream:
            yield stream
    else:
        with _told_when_gone(path):
            stream = Path(path).open("rb")  # noqa: SIM115 - what goes wrong later is not about opening it
        with stream:
            yield stream


@contextmanager
def _told_when_gone(path: str) -> Iterator[None]:
    """Turn the error of opening a source that existed when it was found into a BadInputError that names it."""
    try:
        yield
    except (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as error:
        msg = f"{path} can't be read any more: {error.strerror}; leave it where it is until the command has ended"
        raise BadInputError(msg, path=path) from error

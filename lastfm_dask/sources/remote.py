"""Sources behind an address, through fsspec: S3 (extra `s3`), HTTP with ranges (extra `http`), and the like.

Lists files, reads ranges and opens streams, as `files` does for local paths. Each library looks up credentials,
endpoints, headers and proxies in its own places (AWS_ENDPOINT_URL, fsspec's configuration, …). Nothing is cached, so a
file that was replaced between two runs is never mistaken for the old one. `http_ranges` handles HTTP.
"""

from __future__ import annotations

import errno
import glob
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.sources.source_file import SourceFile, columnar_within, compression_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

_EXTRAS = {"s3": "s3", "s3a": "s3", "http": "http", "https": "http"}
_WEB = ("http", "https")
_STREAM_BYTES = 4 << 20


def find(pattern: str) -> list[SourceFile]:
    """Return the files that an address or a pattern of addresses names, sorted.

    Raises
    ------
    BadInputError
        If nothing is there, access is denied, or the server does not support ranges.
    """
    fs = _file_system(pattern)
    if _is_web(pattern) and "*" in pattern:
        msg = f"{pattern}: a web server does not list its files: name each file"
        raise BadInputError(msg, path=pattern)
    with _said_plainly(pattern):
        if not _is_web(pattern) and fs.isdir(pattern):
            found = [str(fs.unstrip_protocol(path)) for path in fs.find(pattern)]
            paths = columnar_within(found, str(fs.unstrip_protocol(pattern)))
        elif not glob.has_magic(pattern) or _is_web(pattern):
            # Web addresses may contain `?` and `[`.
            paths = [pattern]
        elif fs.exists(pattern):
            paths = [pattern]
        else:
            paths = [str(fs.unstrip_protocol(path)) for path in sorted(fs.glob(pattern))]
        if not paths:
            msg = f"{pattern}: nothing there matches this pattern"
            raise BadInputError(msg, path=pattern)
        return [_describe(fs, path) for path in paths]


def _describe(fs: Any, path: str) -> SourceFile:
    if _is_web(path):
        from lastfm_dask.sources import http_ranges as web

        size_bytes, version = web.describe(fs, path)
        return SourceFile(path, size_bytes, version, compression_of(path.partition("?")[0]))
    found = _info(fs, path)
    version = next(
        (str(found[key]) for key in ("ETag", "etag", "mtime", "LastModified") if found.get(key)), ""
    )
    return SourceFile(path, int(found["size"]), version, compression_of(path))


@contextmanager
def open_ranges(path: str) -> Iterator[Callable[[int, int], bytearray]]:
    """Give a function `read(offset, n_bytes)` for one file; it returns fewer bytes only at the file's end."""
    fs = _file_system(path)

    def read(offset: int, n_bytes: int) -> bytearray:
        with _said_plainly(path):
            if _is_web(path):
                from lastfm_dask.sources import http_ranges as web

                return web.read(fs, path, offset, n_bytes)
            return _read(fs, path, offset, n_bytes)

    yield read


@contextmanager
def open_stream(path: str) -> Iterator[BinaryIO]:
    """Give a file's stored bytes as a stream that reads ahead by ranges."""
    with open_ranges(path) as read:
        source = _RangeStream(read, lambda: find(path)[0].size_bytes)
        with io.BufferedReader(source, _STREAM_BYTES) as stream:
            yield stream


class _RangeStream(io.RawIOBase):
    """A stream over ranged reads, from the file's start."""

    def __init__(self, read: Callable[[int, int], bytearray], size_bytes: Callable[[], int]) -> None:
        self._read = read
        self._size_bytes = size_bytes
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._offset
        elif whence == io.SEEK_END:
            offset += self._size_bytes()
        if offset < 0:
            msg = f"{offset} is before the start"
            raise OSError(errno.EINVAL, msg)
        self._offset = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        data = self._read(self._offset, len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


def _read(fs: Any, path: str, offset: int, n_bytes: int) -> bytearray:
    """Read a range, cut off at the end of the file."""
    try:
        data = fs.cat_file(path, start=offset, end=offset + n_bytes)
    except OSError:
        # Stores refuse a range that starts at or after the end.
        if offset < _info(fs, path)["size"]:
            raise
        return bytearray()
    if len(data) != n_bytes and offset + len(data) != (size_bytes := _info(fs, path)["size"]):
        msg = f"asked for {n_bytes} bytes at {offset} of {size_bytes}, got {len(data)}"
        raise OSError(msg)
    return bytearray(data)


def _info(fs: Any, path: str) -> dict[str, Any]:
    fs.invalidate_cache()
    found: dict[str, Any] = fs.info(path)
    return found


def _is_web(path: str) -> bool:
    return path.partition("://")[0].lower() in _WEB


def _file_system(path: str) -> Any:
    """Return fsspec's file system for an address; if there is none, raise with the reason and the remedy."""
    import fsspec

    protocol = path.partition("://")[0].lower()
    try:
        return fsspec.filesystem(protocol)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'lastfm_dask[{extra}]'" if extra else str(error)
        msg = f"{path}: reading {protocol}:// needs a library that is not installed here: {remedy}"
        raise BadInputError(msg, path=path) from error
    except ValueError as error:
        msg = f"{path}: {protocol}:// is not supported; use a local path, s3://, http:// or https://"
        raise BadInputError(msg, path=path) from error


@contextmanager
def _said_plainly(path: str) -> Iterator[None]:
    """Turn what libraries raise into what was found, where, and what to do next.

    The engine retries a BadInputError that was raised from an OSError.
    """
    try:
        yield
    except BadInputError:
        raise
    except FileNotFoundError as error:
        msg = f"{path} does not exist: check the address (bucket, key, host)"
        raise BadInputError(msg, path=path) from error
    except PermissionError as error:
        msg = f"{path} may not be read ({error}): check the credentials, and that they allow reading and listing it"
        raise BadInputError(msg, path=path) from error
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        kind = type(error).__name__
        if "Credential" in kind:
            remedy = "give credentials by the environment, a profile, or the pod's role"
        else:
            remedy = "check that the store can be reached from here (endpoint, proxy), then try again"
        msg = f"{path} can't be read: {kind}: {error}; {remedy}"
        raise BadInputError(msg, path=path) from (
            error if isinstance(error, OSError) else OSError(str(error))
        )

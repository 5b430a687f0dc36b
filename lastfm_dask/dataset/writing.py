"""What all writers share: refusing existing outputs, locking and flushing files, explaining write errors.

Knows no format. `files` writes single files with it, `store` whole directories.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lastfm_dask.errors import StoreError
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
"""A file system without hard links answers one of these."""


def refuse_existing(output: Path) -> None:
    """Raise StoreError if something stands under the final name already, or the name is not UTF-8."""
    try:
        str(output).encode()
    except UnicodeEncodeError as error:
        # Arrow and JSON can't hold such a name.
        msg = f"{output} can't be written: its name is not UTF-8; choose another name"
        raise StoreError(msg, path=str(output)) from error
    if os.path.lexists(output):
        msg = f"{output} exists already: choose another name, or remove it first"
        raise StoreError(msg, path=str(output))


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a directory's entries, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(path: Path, *, create: bool = False) -> int:
    """Open and lock a lock file, and return its descriptor; the lock ends when that is closed.

    A symbolic link at this name is never followed.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    FileNotFoundError
        If it is not there, or went while it was locked.
    OSError
        If it can't be opened.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            # Some network file systems have no locks: there only the names keep two runs apart.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove(folder: Path, lock_name: str) -> None:
    """Remove a folder as far as that can be done, its lock last: until then no other run takes it for its own.

    What could not be removed keeps its lock, by which the next run knows it and removes it.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name == lock_name:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        if any(path.name != lock_name for path in folder.iterdir()):
            return
        (folder / lock_name).unlink(missing_ok=True)
        folder.rmdir()


def put(part: Path, target: Path) -> None:
    """Give a finished file or directory its final name; an existing one is never replaced.

    A file keeps its first name too, where the file system has hard links: whoever removes that is the last step.

    Raises
    ------
    StoreError
        If something stands under the final name.
    """
    try:
        if part.is_dir():
            part.rename(target)
            return
        os.link(part, target)
    except OSError as error:
        if error.errno in _NO_LINKS:
            refuse_existing(target)
            part.rename(target)
            return
        refuse_existing(target)
        raise


@contextmanager
def write_errors(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn what a file system refuses inside the block into a StoreError that names the output.

    A full disk, an exceeded quota, a limit on the size of files, a read-only file system; other errors stay.
    """
    try:
        yield
    except OSError as error:
        reason = _reason(error, path, needed_bytes)
        if isinstance(error, StoreError) or reason is None:
            raise
        raise StoreError(reason, path=str(path)) from error


def _reason(error: OSError, path: Path, needed_bytes: int | None) -> str | None:
    # NumPy's `tofile` says how much it wrote, and no errno.
    if error.errno in _FULL or (error.errno is None and "requested and" in str(error)):
        needed = "" if needed_bytes is None else f", {format_size(needed_bytes)} needed in all"
        free = format_size(shutil.disk_usage(path.absolute().parent).free)
        return f"no room left on the disk while writing {path}: {free} free{needed}; make room and run again"
    if error.errno == errno.EFBIG:
        return f"{path} can't be written: a file grew beyond the limit of this process; raise it (ulimit -f)"
    if error.errno == errno.EROFS:
        return f"{path} can't be written: {error.strerror}; choose a folder that is writable"
    return None

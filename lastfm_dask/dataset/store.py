"""Directories on disk: a work directory with a lock, publishing by one rename, opening and verifying.

Serves datasets and models alike; which files there are is `layout`'s business. Whatever is killed at any
moment leaves either no directory under the final name or a whole one.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import hashlib
import os
import platform
import shutil
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.layout import MANIFEST, FileEntry, Kind, Manifest, fingerprint
from lastfm_dask.engine.threads import completed
from lastfm_dask.errors import StoreError
from lastfm_dask.memory.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_VERSIONED = ("lastfm_dask", "dask", "numpy", "pyarrow", "scipy", "implicit")


class WorkDirectory:
    """A sibling of the output where it is built; its name follows from the output's, so that a second run finds it.

    `spool/` is for what a killed run leaves to the next, `output/` for the files to publish.
    """

    def __init__(self, output: Path, path: Path) -> None:
        self.final = output
        self.path = path
        self.output = path / "output"
        self.spool = path / "spool"

    def fresh_output(self) -> Path:
        """Empty and return the folder whose files will be published."""
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir()
        return self.output

    def fresh_maps(self) -> Path:
        """Empty and return a folder for what is worked out from the spool and not published."""
        maps = self.path / "maps"
        shutil.rmtree(maps, ignore_errors=True)
        maps.mkdir()
        return maps


def refuse_existing(output: Path) -> None:
    """Raise StoreError where something stands under the final name already."""
    if os.path.lexists(output):
        msg = f"{output} exists already: choose another name, or remove it first"
        raise StoreError(msg, path=str(output))


@contextmanager
def work_directory(output: Path, needed_bytes: int | None = None) -> Iterator[WorkDirectory]:
    """Hold the work directory of an output, locked against a second run.

    It is removed when the block ends well; what stands in it after an error is left for the next run.

    Parameters
    ----------
    output : Path
        The final name.
    needed_bytes : int, optional
        What the block will write, by its plan; said where the disk runs full.

    Raises
    ------
    StoreError
        Where the output exists, its parent is missing or not writable, another run holds the lock, or the disk
        ran full in the block.
    """
    output = Path(os.path.abspath(output))  # noqa: PTH100 - resolve() would follow the last link
    refuse_existing(output)
    path = output.parent / f".{output.name}.work"
    try:
        path.mkdir(exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        msg = f"{output} can't be written: {path}: {error.strerror}; choose a folder that exists and is writable"
        raise StoreError(msg, path=str(output)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"another run is building {output} (it holds {path}/lock): wait for it, or end it"
            raise StoreError(msg, path=str(output)) from error
        refuse_existing(output)
        work = WorkDirectory(output, path)
        work.spool.mkdir(exist_ok=True)
        with disk_full_is_store_error(output, needed_bytes):
            yield work
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


@contextmanager
def disk_full_is_store_error(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn a full disk or an exceeded quota inside the block into a StoreError that names the place."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(path.parent).free
        needed = "" if needed_bytes is None else f", {format_size(needed_bytes)} needed in all"
        msg = f"no room left on the disk while writing {path}: {format_size(free)} free{needed}; make room and run again"
        raise StoreError(msg, path=str(path)) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a directory's entries, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(folder: Path, names: Sequence[str], threads: int = 1) -> dict[str, FileEntry]:
    """Flush files to the disk and return their sizes and checksums, by name; `threads` files at a time."""

    def entry(name: str) -> FileEntry:
        path = folder / name
        flush(path)
        return FileEntry(path.stat().st_size, file_sha256(path))

    return dict(zip(names, completed(entry, names, threads, in_order=True), strict=True))


def publish(
    work: WorkDirectory, kind: Kind, content: dict[str, Any], sealed: dict[str, FileEntry] | None = None
) -> Manifest:
    """Flush the files of `work.output`, write the manifest last, and rename the whole to its final name.

    Files in `sealed` were flushed and summed up by `seal` already.
    """
    sealed = sealed or {}
    found = sealed | seal(work.output, [name for name in kind.files if name not in sealed])
    files = {name: found[name] for name in kind.files}
    manifest = Manifest(
        kind=kind.name,
        version=kind.version,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions=installed_versions(),
        files=files,
        fingerprint=fingerprint(kind, files),
        content=content,
    )
    path = work.output / MANIFEST
    # A source's name may be any bytes: what is no Unicode becomes JSON's own escape, and reads back as it was.
    path.write_text(manifest.to_json(), encoding="utf-8", errors="backslashreplace")
    flush(path)
    for folder in {(work.output / name).parent for name in kind.files} | {work.output}:
        flush(folder)
    refuse_existing(work.final)
    work.output.rename(work.final)
    flush(work.final.parent)
    return manifest


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape what is stored."""
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def open_directory(path: Path, *kinds: Kind) -> Manifest:
    """Return the manifest of a directory of one of these kinds, its file sizes checked.

    Raises
    ------
    StoreError
        Where it is missing, has no readable manifest, is of another kind or version, or a file is missing or
        of another size; the message says which.
    """
    wanted = " or ".join(kind.name for kind in kinds)
    if not path.is_dir():
        msg = f"{path} is no directory: a {wanted} is wanted"
        raise StoreError(msg, path=str(path))
    try:
        manifest = Manifest.from_json((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path} has no {MANIFEST}: it is no {wanted}, or it was never finished; build it again"
        raise StoreError(msg, path=str(path)) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path / MANIFEST} can't be read ({error}): the directory is damaged; build it again"
        raise StoreError(msg, path=str(path)) from error
    kind = next((kind for kind in kinds if kind.name == manifest.kind), None)
    if kind is None:
        msg = f"{path} is a {manifest.kind}, but a {wanted} is wanted"
        raise StoreError(msg, path=str(path))
    if manifest.version != kind.version:
        msg = (
            f"{path} has format version {manifest.version}, this program reads {kind.version}: build it again"
        )
        raise StoreError(msg, path=str(path))
    problems = [problem for name in kind.files if (problem := _size_problem(path, name, manifest))]
    if problems:
        msg = f"{path} is damaged: {'; '.join(problems)}; build it again"
        raise StoreError(msg, path=str(path))
    return manifest


def _size_problem(path: Path, name: str, manifest: Manifest) -> str | None:
    entry = manifest.files.get(name)
    if entry is None:
        return f"{name} is not in the manifest"
    try:
        found = (path / name).stat().st_size
    except OSError as error:
        return f"{name}: {error.strerror}"
    return None if found == entry.size_bytes else f"{name} has {found} bytes, not {entry.size_bytes}"


def verify_directory(path: Path, *kinds: Kind) -> Manifest:
    """Open a directory and compare every file's checksum too; raises StoreError that names what differs."""
    manifest = open_directory(path, *kinds)
    problems = [p for name, entry in manifest.files.items() if (p := _bytes_problem(path, name, entry))]
    kind = next(kind for kind in kinds if kind.name == manifest.kind)
    if manifest.fingerprint != fingerprint(kind, manifest.files):
        problems.append(f"{MANIFEST}: the fingerprint is not that of the checksums")
    if problems:
        msg = f"{path} is damaged: {'; '.join(problems)}; build it again"
        raise StoreError(msg, path=str(path))
    return manifest


def _bytes_problem(path: Path, name: str, entry: FileEntry) -> str | None:
    try:
        same = file_sha256(path / name) == entry.sha256
    except OSError as error:
        return f"{name}: {error.strerror}"
    return None if same else f"{name} has other bytes than were written"

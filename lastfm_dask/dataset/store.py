"""Directories on disk: a work directory with a lock, publishing by one rename, opening and verifying.

Serves datasets and models alike; `layout` says which files there are. A run that is killed at any
moment leaves either no directory under the final name or a whole one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.layout import MANIFEST, RECEIPTS, FileEntry, Kind, Manifest, fingerprint
from lastfm_dask.dataset.writing import flush, lock, refuse_existing, remove, write_errors
from lastfm_dask.display import to_json
from lastfm_dask.engine.threads import completed
from lastfm_dask.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LOCK = "lock"
_MOST_MANIFEST_BYTES = 1 << 28
_RECEIPT = ("wall_s", "reserved_bytes", "measured_bytes", "file_bytes")
"""The figures of every stage's receipt."""
_VERSIONED = ("lastfm_dask", "dask", "numpy", "pyarrow", "scipy", "implicit")


class WorkDirectory:
    """A sibling of the output where it is built; its name follows from the output's, so that a second run finds it.

    `spool/` is for what a killed run leaves to the next, `output/` for the files to publish.
    """

    def __init__(self, output: Path) -> None:
        self.final = output
        self.path = output.parent / f".{output.name}.work"
        self.output = self.path / "output"
        self.spool = self.path / "spool"

    def fresh_output(self) -> Path:
        """Empty and return the folder whose files will be published."""
        return _emptied(self.output)

    def fresh_maps(self) -> Path:
        """Empty and return a folder for intermediate results that are not published."""
        return _emptied(self.path / "maps")

    def remove(self) -> None:
        """Remove it with all that is in it."""
        remove(self.path, _LOCK)


def _emptied(folder: Path) -> Path:
    """Make an empty folder of this name; a link that lies there goes, and what it leads to stays."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    folder.mkdir()
    return folder


def refuse_published(output: Path) -> None:
    """Raise StoreError if the final name exists; clear what its run left beside it."""
    if os.path.lexists(output):
        clear_finished(output)
    refuse_existing(output)


def clear_finished(output: Path) -> None:
    """Remove the work directory of a run that was killed right after it had published."""
    work = WorkDirectory(Path(os.path.abspath(output)))  # noqa: PTH100 - resolve() would follow the last link
    # Before it published, its `output` was there.
    if not work.path.is_dir() or os.path.lexists(work.output):
        return
    with suppress(OSError, StoreError):
        descriptor = _hold(work)
        work.remove()
        os.close(descriptor)


@contextmanager
def work_directory(output: Path, needed_bytes: int | None = None) -> Iterator[WorkDirectory]:
    """Hold the work directory of an output, locked against a second run.

    It is removed when the block ends well; after an error its content is left for the next run.

    Parameters
    ----------
    output : Path
        The final name.
    needed_bytes : int, optional
        What the block will write, by its plan; said where the disk runs full.

    Raises
    ------
    StoreError
        If the output exists, its parent is missing or not writable, another run holds the lock, the work
        directory is not this user's, or the disk ran full in the block.
    """
    output = Path(os.path.abspath(output))  # noqa: PTH100 - resolve() would follow the last link
    refuse_published(output)
    work = WorkDirectory(output)
    descriptor = _hold(work)
    try:
        if os.path.lexists(output) and not os.path.lexists(work.output):
            work.remove()
        refuse_existing(output)
        with write_errors(output, needed_bytes):
            if work.spool.is_symlink() or not work.spool.is_dir():
                _emptied(work.spool)
            yield work
        work.remove()
    finally:
        os.close(descriptor)


def _hold(work: WorkDirectory) -> int:
    """Make and lock a work directory; return what holds the lock."""
    path = work.path
    while True:
        try:
            path.mkdir(exist_ok=True)
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                msg = f"{work.final} can't be built: {path} is a link or not yours; remove it, or choose another name"
                raise StoreError(msg, path=str(work.final))
            return lock(path / _LOCK, create=True)
        except BlockingIOError as error:
            msg = f"another run is building {work.final} (it holds {path / _LOCK}): wait for it, or end it"
            raise StoreError(msg, path=str(work.final)) from error
        except FileNotFoundError as error:
            # Another run ended between two steps, and took the directory with it; but not if there is no folder.
            if not work.final.parent.is_dir():
                raise _not_writable(work, error) from error
        except StoreError:
            raise
        except OSError as error:
            raise _not_writable(work, error) from error


def _not_writable(work: WorkDirectory, error: OSError) -> StoreError:
    msg = f"{work.final} can't be written: {work.path}: {error.strerror}; choose a folder that exists and is writable"
    return StoreError(msg, path=str(work.final))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    names = kind.files_among([name for name in kind.optional if (work.output / name).exists()])
    found = sealed | seal(work.output, [name for name in names if name not in sealed])
    files = {name: found[name] for name in names}
    manifest = Manifest(
        kind=kind.name,
        version=kind.version,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions=installed_versions(),
        files=files,
        fingerprint=fingerprint(kind, files),
        # As it will be read: a pair is a list in JSON, and a number that JSON lacks is missing.
        content=json.loads(to_json(content)),
    )
    manifest = replace(manifest, checksum=manifest.own_checksum())
    path = work.output / MANIFEST
    path.write_text(manifest.to_json(), encoding="utf-8")
    flush(path)
    for folder in {(work.output / name).parent for name in names} | {work.output}:
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
        If it is missing, has no readable manifest, is of another kind or version, or a file is missing or
        of another size; the message says which.
    """
    wanted = " or ".join(kind.name for kind in kinds)
    if not path.is_dir():
        msg = f"{path} is not a directory: a {wanted} is wanted"
        raise StoreError(msg, path=str(path))
    try:
        manifest = Manifest.from_json(_manifest_text(path / MANIFEST))
    except FileNotFoundError as error:
        msg = f"{path} has no {MANIFEST}: it is not a {wanted}, or it was never finished; build it again"
        raise StoreError(msg, path=str(path)) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path / MANIFEST} can't be read ({error}): the directory is damaged; build it again"
        raise StoreError(msg, path=str(path)) from error
    kind = next((kind for kind in kinds if kind.name == manifest.kind), None)
    if kind is None:
        msg = f"{path} is a {manifest.kind}, but a {wanted} is wanted"
        raise StoreError(msg, path=str(path))
    if type(manifest.version) is not int or not kind.reads(manifest.version):
        readable = f"{kind.oldest} to {kind.version}" if kind.oldest else kind.version
        msg = f"{path} has format version {manifest.version}, this program reads {readable}: build it again"
        raise StoreError(msg, path=str(path))
    names = kind.files_among(manifest.files, manifest.version)
    problems = [problem for name in names if (problem := _size_problem(path, name, manifest))]
    problems += [
        f"{MANIFEST} names {name!r}, which is not a file of it"
        for name in manifest.files
        if name not in names
    ]
    if manifest.checksum and manifest.checksum != manifest.own_checksum():
        problems.append(f"{MANIFEST} was changed after it was written")
    problems += [f"{MANIFEST}: {problem}" for problem in _count_problems(kind, manifest)]
    if problems:
        msg = f"{path} is damaged: {'; '.join(problems)}; build it again"
        raise StoreError(msg, path=str(path))
    return manifest


def read_receipts(path: Path) -> dict[str, Any]:
    """Return what a directory's `receipts.json` holds: what was allowed, and a receipt of each stage.

    Raises
    ------
    StoreError
        If it can't be read, or holds something else.
    """
    file = path / RECEIPTS
    try:
        document = json.loads(file.read_bytes())
        stages = document["stages"]
        if not stages and "allocator" not in document:
            msg = (
                f"{path} was made of a matrix in memory (`Dataset.from_csr`): no stage was measured, so its receipts hold"
                " nothing to show. `lastfm-dask stats` shows what the dataset holds"
            )
            raise StoreError(msg, path=str(file))
        words = [document["allocator"], document["allowed_source"], *(stage["stage"] for stage in stages)]
        figures = [stage[name] for stage in stages for name in _RECEIPT]
        if (
            not figures
            or not all(isinstance(word, str) for word in words)
            or not all(isinstance(n, (int, float)) for n in [document["allowed_bytes"], *figures])
        ):
            msg = "it holds no receipts by stage"
            raise TypeError(msg)
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"{file} can't be read ({error}): the directory is damaged; build it again"
        raise StoreError(msg, path=str(file)) from error
    return document  # type: ignore[no-any-return]


def _size_problem(path: Path, name: str, manifest: Manifest) -> str | None:
    entry = manifest.files.get(name)
    if entry is None:
        return f"{name} is not in the manifest"
    try:
        status = (path / name).stat()
    except OSError as error:
        return f"{name}: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return f"{name} is not a file"
    found = status.st_size
    return None if found == entry.size_bytes else f"{name} has {found} bytes, not {entry.size_bytes}"


def _manifest_text(path: Path) -> str:
    """Return a manifest's text; a pipe is not waited for, nor a device read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_MANIFEST_BYTES:
        msg = f"it is not a file of at most {_MOST_MANIFEST_BYTES} bytes"
        raise ValueError(msg)
    return path.read_text(encoding="utf-8")


def _count_problems(kind: Kind, manifest: Manifest) -> list[str]:
    """Return what is wrong with the numbers that files are opened by; a kind without counts has none."""
    if kind.counts is None:
        return []
    counts: Any = manifest.content
    for key in kind.counts:
        counts = counts.get(key) if isinstance(counts, dict) else None
    if not isinstance(counts, dict):
        return [f"{'.'.join(kind.counts)} is missing"]
    return [
        f"{key} is {counts.get(key)!r:.40}, not a number of rows"
        for key in ("users", "artists", "nnz")
        if type(counts.get(key)) is not int or not 0 <= counts[key] < 1 << 62
    ]


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

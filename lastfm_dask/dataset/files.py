"""Files that are whole or not there: every single file that a command writes as its result is written here.

A file is written in a folder of its own beside the target, `.NAME.TOKEN.part`, which is made new (no link that lies
in wait is ever followed) and locked while its run lives. At the end the file is flushed and takes the target's name in one
step. Killed at any moment, a run leaves the old state or the new one; the folder that it leaves is cleared by the
next run that writes beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lastfm_dask.dataset.writing import flush, lock, put, refuse_existing, remove, write_errors
from lastfm_dask.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PART = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.part", re.DOTALL)
_LOCK = "lastfm-dask.lock"


@contextmanager
def complete_or_absent(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a path to write; what is written there takes the target's name if the block ends well, and is removed otherwise.

    Parameters
    ----------
    target : Path
        The file or folder to make. The path that is given has the same last name, so the same suffix.
    replace : bool
        Whether a file that stands under the target's name is replaced; otherwise that is an error.

    Raises
    ------
    StoreError
        If the target exists, another run is writing it, its folder is missing or not writable, or the disk
        is full.
    """
    with all_or_none([target], replace=replace) as parts:
        yield parts[0]


@contextmanager
def all_or_none(targets: Sequence[Path], *, replace: bool = False) -> Iterator[list[Path]]:
    """Give paths to write for several targets in one folder; all of them take their names, or none does.

    The names are taken one after the other: a run that is killed in between leaves some, and the next run takes
    them back.

    Raises
    ------
    StoreError
        As for `complete_or_absent`.
    """
    first = targets[0]
    if not replace:
        for target in targets:
            _refuse_published(target)
    with write_errors(first):
        place, descriptor = _claimed(first)
        try:
            parts = [place / target.name for target in targets]
            yield parts
            for part in parts:
                _flush_all(part)
            _publish(parts, targets, replace=replace)
            flush(place.parent)
        finally:
            _remove_surely(place)
            os.close(descriptor)


def refuse_unwritable(target: Path) -> None:
    """Raise StoreError where `complete_or_absent` would for this target: asked before long work for it.

    Raises
    ------
    StoreError
        If the target exists, another run is writing it, or its folder is missing or not writable.
    """
    _refuse_published(target)
    with write_errors(target):
        place, descriptor = _claimed(target)
        remove(place, _LOCK)
        os.close(descriptor)


def _refuse_published(target: Path) -> None:
    """Raise StoreError if the target exists; clear what its run left beside it."""
    if os.path.lexists(target):
        clear_left(target)
    refuse_existing(target)


def clear_left(target: Path) -> None:
    """Remove what killed runs left beside a target, as far as that can be done; runs that live keep theirs."""
    folder = target.absolute().parent
    with suppress(OSError), _alone_in(folder):
        _clear(folder, target)


def _claimed(target: Path) -> tuple[Path, int]:
    """Clear what killed runs left beside the target, and make a folder for this run; return it and its lock."""
    folder = target.absolute().parent
    try:
        with _alone_in(folder):
            _clear(folder, target)
            place = folder / f".{target.name}.{secrets.token_hex(4)}.part"
            place.mkdir(mode=0o700)
            try:
                return place, lock(place / _LOCK, create=True)
            except BaseException:
                remove(place, _LOCK)
                raise
    except StoreError:
        raise
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            # Another folder would not help.
            raise
        msg = f"{target} can't be written: {folder}: {error.strerror}; choose a folder that exists and is writable"
        raise StoreError(msg, path=str(target)) from error


def _remove_surely(place: Path) -> None:
    """Remove a run's folder, to the end even where a signal stops the command meanwhile."""
    try:
        remove(place, _LOCK)
    except BaseException:
        remove(place, _LOCK)
        raise


@contextmanager
def scratch_folder(folder: Path, name: str) -> Iterator[Path]:
    """Give an empty folder for temporary files; it goes when the block ends, or with the next run beside it."""
    target = folder / f"{name}-{secrets.token_hex(4)}"
    with write_errors(target):
        place, descriptor = _claimed(target)
        try:
            files = place / "files"
            files.mkdir()
            yield files
        finally:
            _remove_surely(place)
            os.close(descriptor)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one run at a time look for what is left in a folder and claim its own; no file is made for it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Where folders can't be locked, two runs that begin in the same instant may refuse each other.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(folder: Path, target: Path) -> None:
    """Remove what killed runs left; raise StoreError where a run that lives is writing this target."""
    with os.scandir(folder) as entries:
        left = [
            (Path(entry.path), match["name"])
            for entry in entries
            if (match := _PART.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)
        ]
    for place, name in left:
        try:
            descriptor = lock(place / _LOCK)
        except BlockingIOError as error:
            if name == target.name:
                msg = f"another run is writing {target} (it holds {place}): wait for it, or end it"
                raise StoreError(msg, path=str(target)) from error
            continue
        except FileNotFoundError:
            # Killed before it had a lock; anything else than an empty folder is not from here.
            with suppress(OSError):
                place.rmdir()
            continue
        except OSError:
            continue
        try:
            _take_back(place)
            remove(place, _LOCK)
        finally:
            os.close(descriptor)


def _take_back(place: Path) -> None:
    """Remove those files of a killed run that had taken their names when others of it had not."""
    parts = [path for path in place.iterdir() if path.name != _LOCK]
    taken = [path for path in parts if _is_same(path, place.parent / path.name)]
    if len(taken) < len(parts):
        for path in taken:
            (place.parent / path.name).unlink()


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False


def _publish(parts: Sequence[Path], targets: Sequence[Path], *, replace: bool) -> None:
    done: list[Path] = []
    try:
        for part, target in zip(parts, targets, strict=True):
            if replace:
                _replace(part, target)
            else:
                put(part, target)
            done.append(target)
    except BaseException:
        if not replace:
            for target in done:
                target.unlink()
        raise


def _replace(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except (IsADirectoryError, PermissionError) as error:
        msg = f"{target} can't be replaced: {error.strerror}; choose another name"
        raise StoreError(msg, path=str(target)) from error


def _flush_all(part: Path) -> None:
    if part.is_dir():
        for path in part.iterdir():
            flush(path)
    flush(part)

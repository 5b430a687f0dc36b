"""How a command ends: every error as one message on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli import signals, streams
from lastfm_dask.display import to_json, visible
from lastfm_dask.errors import BudgetError, LastfmDaskError, Stopped, StoreError
from lastfm_dask.events import report

if TYPE_CHECKING:
    from collections.abc import Callable

_REFUSED = {
    errno.EACCES: "choose a place that this user may read and write",
    errno.EPERM: "choose a place that this user may read and write",
    errno.EROFS: "choose a place that is writable",
    errno.ENOSPC: "make room and run again",
    errno.EDQUOT: "make room and run again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EIO: "check the disk",
    errno.ENOENT: "it was there a moment ago, or the current folder is gone: change to a folder that exists",
    errno.ENOTDIR: "name a path whose folders exist",
    errno.EISDIR: "name a file",
    errno.ELOOP: "name a path without circular links",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ESTALE: "mount the file system again",
    errno.EBADF: "open it before the command starts",
}
"""What to do when the operating system refuses a file."""
_NO_DESCRIPTOR = {
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs, or raise the machine's limit on open files",
}
"""What to do when no more files can be opened, whichever file it was."""
UNFORESEEN = 1
_NOT_MAPPED = "failed to map segment"
"""What the loader says of a library for which the address space has no room."""


def exit_code(command: Callable[[], int | None], *, verbose: bool, as_json: bool = False) -> int:
    """Run a command to its end, print why it failed if it did, and return its exit code.

    Parameters
    ----------
    command : callable
        Returns an exit code, or None for 0.
    verbose : bool
        Whether to show the traceback of an unforeseen error.
    as_json : bool
        Whether to print the error as one line of JSON: `{"error": {"kind", "message", "exit_code", …}}`.
    """
    message, code = "", UNFORESEEN
    fields: dict[str, Any] = {}
    try:
        message, code, fields = _ended(command, verbose=verbose, as_json=as_json)
        signals.unwound()
    except Stopped:
        # The command's own end was being told.
        signals.unwound()
    if found := signals.stopped():
        message, code = found
        fields = {"kind": "stopped"}
    if message:
        with suppress(OSError):
            report("error", message, exit_code=code, **fields)
            if as_json:
                error_json = {"kind": fields.pop("kind"), "message": message, "exit_code": code, **fields}
                click.echo(to_json({"error": error_json}, ascii_only=True), err=True)
            else:
                click.echo(f"lastfm-dask: {visible(message, keep_lines=True)}", err=True)
    streams.discard()
    if found is not None:
        # At once: threads that other libraries started may never end.
        os._exit(code)
    return code


def _ended(
    command: Callable[[], int | None], *, verbose: bool, as_json: bool
) -> tuple[str, int, dict[str, Any]]:
    """Run a command to its end; return the message that is still to be printed, the exit code and the error's fields."""
    message, fields = "", {"kind": "unforeseen"}
    try:
        code = command() or 0
        streams.finish()
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        code = error.exit_code
        if as_json:
            message, fields = error.format_message(), {"kind": "usage"}
        with suppress(OSError):
            if not as_json and isinstance(error, click.UsageError) and error.ctx is not None:
                click.echo(error.ctx.get_usage(), err=True)
            if not as_json:
                click.echo(f"Error: {visible(error.format_message(), keep_lines=True)}", err=True)
    except BrokenPipeError:
        # A reader that goes away, as `head` does, is not an error.
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else UNFORESEEN
    except BaseException as error:  # noqa: BLE001 - the last line of defence: one line, and a traceback under -vv
        message, code = _told(error)
        fields = _fields(error, code)
        if code == UNFORESEEN and verbose:
            with suppress(OSError):
                traceback.print_exception(error)
    return message, code, fields


def _fields(error: BaseException, code: int) -> dict[str, Any]:
    """Return an error's kind in words and its fields."""
    if not isinstance(error, LastfmDaskError):
        kinds = {BudgetError.exit_code: "budget", StoreError.exit_code: "store"}
        return {"kind": kinds.get(code, "unforeseen")}
    kind = type(error).__name__.removesuffix("Error")
    words = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in kind).lstrip("_")
    return {"kind": words, **{key: value for key, value in vars(error).items() if key != "message"}}


def _told(error: BaseException) -> tuple[str, int]:
    """Return an error's message and exit code."""
    if isinstance(error, LastfmDaskError):
        return str(error), error.exit_code
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _NOT_MAPPED in str(error)):
        return (
            (
                f"the system has no more memory ({error or 'MemoryError'}): allow more (ulimit -v), or use less"
                " (--memory, --block-size, --threads)"
            ),
            BudgetError.exit_code,
        )
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR:
        place = "" if error.filename is None else f" for {_path(error.filename)}"
        return f"no file descriptor is left{place}: {_NO_DESCRIPTOR[error.errno]}", StoreError.exit_code
    if isinstance(error, OSError) and error.errno in _REFUSED:
        place = "the output" if error.filename is None else _path(error.filename)
        return f"{place}: {error.strerror}: {_REFUSED[error.errno]}", StoreError.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return f"the system has no more memory: {error}", BudgetError.exit_code
    kind = type(error).__name__
    return f"unforeseen {kind}: {error} (-vv shows the traceback)", UNFORESEEN


def _path(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else str(name)

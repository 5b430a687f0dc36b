"""Standard streams that are closed, full, or can't encode every character: made safe before a command runs.

A closed descriptor is taken, so that no file that is opened later gets its number and what is printed with it. Characters that
stdout's encoding lacks are replaced. What stderr can't take is dropped.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

from lastfm_dask.errors import StoreError


def prepare() -> None:
    """Make stdin, stdout and stderr usable, whatever the caller made of them."""
    # Writing to a closed stdout must fail; nobody reads a closed stderr.
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        if not _is_open(number):
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        raw = io.BufferedWriter(_Unfailing(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, sys.stderr.encoding, "backslashreplace", line_buffering=True)


class _Unfailing(io.FileIO):
    """A file that drops what it can't take: no work is lost because its progress can't be shown."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def finish() -> None:
    """Flush what was printed.

    Raises
    ------
    BrokenPipeError
        If the reader went away, as `head` does.
    StoreError
        If stdout can't be written to.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"the result can't be written to stdout: {error.strerror}; redirect it to a file that can be written"
        raise StoreError(msg) from error


def discard() -> None:
    """Discard what is still buffered: Python would flush it at exit, and complain."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                os.dup2(nowhere, number)
                os.close(nowhere)
            with suppress(OSError, ValueError):
                stream.flush()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

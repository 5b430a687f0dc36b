"""Every exception that this package raises on purpose, with the exit code of its command line.

Imports nothing. The message is the only positional argument; every other field is a keyword-only
attribute with a default, so that an error survives pickling on its way from a Dask worker.
"""

from __future__ import annotations


class LastfmDaskError(Exception):
    """Base of all errors here; `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class BadInputError(LastfmDaskError, ValueError):
    """The source, a file or an option's value is not what it should be."""

    exit_code = 3

    def __init__(self, message: str = "", *, path: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class BudgetError(LastfmDaskError, ValueError):
    """A stage would need more memory or disk than is allowed; raised before its work."""

    exit_code = 4

    def __init__(
        self,
        message: str = "",
        *,
        stage: str | None = None,
        projected_bytes: int | None = None,
        allowed_bytes: int | None = None,
        smallest_bytes: int | None = None,
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.projected_bytes = projected_bytes
        self.allowed_bytes = allowed_bytes
        self.smallest_bytes = smallest_bytes


class StoreError(LastfmDaskError, OSError):
    """A dataset or model directory is missing, incomplete, damaged or there already; or the disk is full."""

    exit_code = 5

    def __init__(self, message: str = "", *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class UnknownNameError(LastfmDaskError, KeyError):
    """A user or an artist that is not known (or a user to add that is there already)."""

    exit_code = 6

    def __init__(self, message: str = "", *, name: str | None = None, near: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.near = near


class ClusterError(LastfmDaskError, RuntimeError):
    """The Dask cluster can't be used, or stopped making progress."""

    exit_code = 7

    def __init__(self, message: str = "", *, block: int | None = None, path: str | None = None) -> None:
        super().__init__(message)
        self.block = block
        self.path = path


class Stopped(BaseException):
    """A signal that ends the process has arrived: nothing that is under way will be used."""

"""Commands run in children of a process that has imported all: hundreds of them in the time of a few interpreters."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_STEPS = {
    "open",
    "os.link",
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "shutil.rmtree",
    "fcntl.flock",
    "mmap.__new__",
}
"""Of the file operations of Python itself; what Arrow does within its own code is not seen."""
_READ_ANYWAY = re.compile(r"^/(proc|sys)/|\.(py|pyc|so)$")
"""What imports and the memory meter open, which is not counted."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, minus a signal's number if one killed it, and what it printed."""

    code: int
    out: str
    err: str
    n_steps: int = 0
    """File operations, if they were counted and the command was not killed."""

    @property
    def traceback(self) -> bool:
        """Whether something unforeseen was shown."""
        return "Traceback" in self.err or "unforeseen" in self.err


def run(
    *arguments: object,
    timeout_s: float = 60,
    disturb: Callable[[int], None] | None = None,
    at_step: tuple[int, int] | None = None,
    prepare: Callable[[], None] | None = None,
) -> Ended:
    """Run a command in a child, and perhaps end it.

    Parameters
    ----------
    disturb : callable, optional
        Gets its process id once it runs.
    at_step : tuple of int, optional
        The file operation, from 1, at which the child sends itself a signal, and which; (0, 0) only counts them.
    prepare : callable, optional
        Called in the child before the command.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as steps:
        child = os.fork()
        if not child:
            _become(out.fileno(), err.fileno(), steps.fileno(), list(map(str, arguments)), at_step, prepare)
        if disturb is not None:
            disturb(child)
        code = _wait(child, timeout_s)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        steps.seek(0)
        n_steps = int(steps.read() or 0)
    return Ended(code, *texts, n_steps)


def _become(
    out: int,
    err: int,
    steps: int,
    arguments: list[str],
    at_step: tuple[int, int] | None,
    prepare: Callable[[], None] | None,
) -> None:
    code = 99
    sender = None
    try:
        from lastfm_dask.cli import main

        warnings.simplefilter("ignore")
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["lastfm-dask", *arguments]
        if at_step is not None:
            sender = _Sender(*at_step)
            sys.addaudithook(sender)
        if prepare is not None:
            prepare()
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 98
    except KeyboardInterrupt:
        # Before the command listened.
        code = 130
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        if sender is not None:
            os.write(steps, str(sender.seen).encode())
        os._exit(code)


class _Sender:
    """An audit hook that counts file operations, and sends this process a signal right before one of them."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number
        self.seen = 0

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event in _STEPS and not (event == "open" and _READ_ANYWAY.search(str(args[0]))):
            self.seen += 1
            if self.seen == self.step:
                os.kill(os.getpid(), self.number)


def _wait(child: int, timeout_s: float) -> int:
    end = time.monotonic() + timeout_s
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            msg = f"a command did not end within {timeout_s} s"
            raise TimeoutError(msg)
        time.sleep(0.002)


def import_all() -> None:
    """Import what commands need, once, without starting a thread."""
    # Some of the standard library too: another user may not be able to read it.
    import concurrent.futures.process  # noqa: F401
    import importlib.readers  # noqa: F401
    import multiprocessing.pool  # noqa: F401
    import statistics  # noqa: F401
    import webbrowser  # noqa: F401

    import implicit.als  # noqa: F401
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401
    import rich.table  # noqa: F401
    import scipy.sparse  # noqa: F401

    import lastfm_dask.cli
    import lastfm_dask.ingestion.pipeline
    import lastfm_dask.recommender.answers
    import lastfm_dask.training.train  # noqa: F401


def leftovers(folder: Path, *kept: str) -> list[str]:
    """Return what is in a folder beside what must be."""
    return sorted(path.name for path in folder.iterdir() if path.name not in kept)

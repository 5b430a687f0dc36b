"""Tasks that tests run on clusters: importable by name on every worker, and slow or deadly on demand."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lastfm_dask.errors import BadInputError


@dataclass(frozen=True)
class Square:
    """Squares a number, after a pause; notes in `folder` who began it."""

    pause_s: float = 0.0
    folder: str = ""

    def __call__(self, number: int) -> bytes:
        if self.folder:
            (Path(self.folder) / f"{number}-{os.getpid()}").touch()
        time.sleep(self.pause_s)
        return b"%d" % (number * number)


def refuse_seven(number: int) -> int:
    if number == 7:
        msg = "line 3 has 5 fields, 4 are allowed"
        raise BadInputError(msg, path="log.tsv", line=3)
    return number


def break_on_seven(number: int) -> int:
    if number == 7:
        msg = "not foreseen"
        raise ZeroDivisionError(msg)
    return number


@dataclass(frozen=True)
class FailOnce:
    """Raises an OSError the first time that a block is tried."""

    folder: str

    def __call__(self, number: int) -> int:
        mark = Path(self.folder) / f"tried-{number}"
        if not mark.exists():
            mark.touch()
            msg = "the network was away"
            raise OSError(msg)
        return number


@dataclass(frozen=True)
class FailToRead:
    """Fails some times to read, as a block of a source on a network does."""

    folder: str
    times: int

    def __call__(self, number: int) -> int:
        tried = Path(self.folder) / f"read-{self.times}-{number}"
        n_tried = int(tried.read_text()) if tried.exists() else 0
        tried.write_text(str(n_tried + 1))
        if n_tried < self.times:
            msg = "log.tsv can't be read: the network was away"
            raise BadInputError(msg, path="log.tsv") from ConnectionError("the network was away")
        return number


def die_on_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), 9)
    return number


@dataclass(frozen=True)
class Sight:
    """A check that sees something else in the process that is not the given one."""

    driver_pid: int

    def __call__(self) -> dict[str, str]:
        return {"log.tsv": "10 bytes" if os.getpid() == self.driver_pid else "11 bytes"}


def see_nothing_on_workers(driver_pid: int) -> dict[str, str]:
    if os.getpid() != driver_pid:
        raise FileNotFoundError(2, "No such file", "/data/log.tsv")
    return {}

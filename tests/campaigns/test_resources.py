"""Environments that lack something: a command ends with a whole result, or says what is missing and leaves none.

Small file systems that fill at each stage are mounted for the test: a tmpfs, one with few inodes, and an ext4 in a
file; what can't be mounted is skipped. Then folders that may not be written, another user, few descriptors, small
files, closed and full streams, no home, no current folder, and two runs at once.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from campaigns import forking
from campaigns.table import Table, count, seed
from campaigns.test_crash import AGAIN, IN_PARTS, NAMES, Job, content, emptied, look_after, undisturbed, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["whole"]

PAGE = 4096
NOBODY = 65534
FAST = tuple(name for name in NAMES if name != "tune")


def mount(folder: Path, kind: str, options: str, device: Path | None = None) -> None:
    """Mount a file system, or skip the test."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", kind, "-o", options, str(device or "none"), str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"a file system of the kind {kind} can't be mounted here: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=["tmpfs", "few inodes", "ext4"])
def mounted(request, tmp_path):
    folder = tmp_path / "small"
    if request.param == "ext4":
        image = tmp_path / "image"
        image.write_bytes(b"")
        os.truncate(image, 16 << 20)
        make = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", str(image)]
        if shutil.which(make[0]) is None or subprocess.run(make, check=False).returncode:
            pytest.skip("there is no mkfs.ext4")
        mount(folder, "ext4", "loop", image)
        shutil.rmtree(folder / "lost+found")
    else:
        mount(folder, "tmpfs", "size=16m,nr_inodes=60" if request.param == "few inodes" else "size=16m")
    yield folder
    unmount(folder)


def fill(folder: Path, left: int, after_s: float, child: int) -> None:
    """Take all room but some bytes, and all inodes but as many as pages fit there, after some time."""
    time.sleep(after_s)
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
        (folder / "filling").mkdir()
        (folder / "filling" / "bytes").write_bytes(bytes(max(0, free - left)))
    if os.statvfs(folder).f_files > 100:
        return
    with suppress(OSError):
        for number in range(os.statvfs(folder).f_ffree - left // PAGE):
            (folder / "filling" / str(number)).touch()


def run_full(whole: Path, folder: Path, n: int) -> None:
    table = Table(f"a disk that fills ({os.statvfs(folder).f_files} inodes)")
    out = folder / "out"
    found = undisturbed(whole, out, FAST)
    sizes: dict[str, int] = {}
    for job in found:
        emptied(out)
        assert forking.run(*job.command).code == 0
        sizes[job.name] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        job = found[number % len(found)]
        emptied(out)
        # Twice the result is room for a spool too. The plan may refuse before any work, unless it was made by then.
        room = rng.randrange(0, 2 * sizes[job.name] // PAGE + 8) * PAGE
        after_s = rng.choice([0, rng.uniform(0, job.seconds)])
        case = f"{number}: {job.name} with {room} bytes after {after_s:.3f} s"
        if after_s:
            ended = forking.run(*job.command, disturb=partial(fill, folder, room, after_s))
        else:
            fill(folder, room, 0, 0)
            ended = forking.run(*job.command)
        table.add(job.name, ended.code)
        if ended.code not in (0, 4, 5) or ended.traceback:
            table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
        elif ended.code == 0 and [content(path) for path in job.made] != job.contents:
            table.fail(f"{case}: other content")
        elif ended.code and job.name not in IN_PARTS and any(path.exists() for path in job.made):
            table.fail(f"{case}: something is left under the final name")
        shutil.rmtree(folder / "filling", ignore_errors=True)
        look_after(table, out, job, case)
    table.show()


@dataclass(frozen=True)
class Lacking:
    """An environment that lacks something, and the codes with which commands may end there."""

    codes: frozenset[int]
    prepare: Callable[[], None] = lambda: None
    around: Callable[[Path], AbstractContextManager[object]] = nullcontext
    says: str = ""
    """What an error must name."""


@contextmanager
def read_only(out: Path) -> Iterator[None]:
    mount(out, "tmpfs", "ro,size=16m")
    try:
        yield
    finally:
        unmount(out)


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def limit(what: int, most: int) -> None:
    # What the test's own process holds open does not count.
    os.closerange(3, 1024)
    resource.setrlimit(what, (most, most))


def redirect(**streams: str | None) -> None:
    """Close standard streams (None) or open something else for them."""
    for name, path in streams.items():
        number = {"stdin": 0, "stdout": 1, "stderr": 2}[name]
        os.close(number)
        if path is None:
            setattr(sys, name, None)
        else:
            assert os.open(path, os.O_RDWR) == number


def forget_home() -> None:
    for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)


def lose_folder() -> None:
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    folder.rmdir()


def speak_ascii() -> None:
    os.environ.update(LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="ascii", errors="strict")


WELL, REFUSED, EITHER = frozenset({0}), frozenset({5}), frozenset({0, 5})
LACKING = {
    "folder read-only": Lacking(REFUSED, around=read_only),
    "folder of another user": Lacking(REFUSED, become_nobody),
    "32 descriptors": Lacking(WELL, partial(limit, resource.RLIMIT_NOFILE, 32)),
    "12 descriptors": Lacking(EITHER, partial(limit, resource.RLIMIT_NOFILE, 12), says="descriptor"),
    "8 descriptors": Lacking(EITHER, partial(limit, resource.RLIMIT_NOFILE, 8), says="descriptor"),
    "files of 1 KiB": Lacking(EITHER, partial(limit, resource.RLIMIT_FSIZE, 1 << 10)),
    "files of 16 KiB": Lacking(EITHER, partial(limit, resource.RLIMIT_FSIZE, 1 << 14)),
    "stdout full": Lacking(EITHER, partial(redirect, stdout="/dev/full")),
    "stdout closed": Lacking(EITHER, partial(redirect, stdout=None)),
    "stderr closed": Lacking(WELL, partial(redirect, stderr=None)),
    "stderr full": Lacking(WELL, partial(redirect, stderr="/dev/full")),
    "all streams closed": Lacking(EITHER, partial(redirect, stdin=None, stdout=None, stderr=None)),
    "no home": Lacking(WELL, forget_home),
    "current folder gone": Lacking(WELL, lose_folder),
    "ASCII terminal": Lacking(WELL, speak_ascii),
}


@contextmanager
def of_everybody(whole: Path) -> Iterator[Path]:
    """Give a copy of what is given, in a folder that another user can enter."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    shutil.copytree(whole, place / "whole")
    (place / "whole").chmod(0o755)
    try:
        yield place / "whole"
    finally:
        shutil.rmtree(place)


def run_lacking(whole: Path, out: Path, names: tuple[str, ...], lacking: tuple[str, ...]) -> None:
    table = Table("environments that lack something")
    for job in undisturbed(whole, out, names):
        for what in lacking:
            one = LACKING[what]
            if job.name == "tune" and one.codes != REFUSED:
                continue
            case = f"{job.name}, {what}"
            emptied(out)
            with one.around(out):
                ended = forking.run(*job.command, prepare=one.prepare)
            table.add(what, ended.code)
            if ended.code not in one.codes or ended.traceback or (ended.code and one.says not in ended.err):
                table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
            look_after(table, out, job, case)
    table.show()


def both(job: Job, wait_s: float) -> list[forking.Ended]:
    """Run a command, and once more after some seconds."""
    second: list[forking.Ended] = []

    def begin_second(_: int) -> None:
        time.sleep(wait_s)
        second.append(forking.run(*job.command))

    first = forking.run(*job.command, disturb=begin_second)
    return [first, *second]


def run_two(whole: Path, out: Path, n: int) -> None:
    """Run each command twice at once: one of both makes its output, and the other one refuses or finds it."""
    table = Table("two runs at once of the same output")
    found = undisturbed(whole, out, FAST)
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        job = found[number % len(found)]
        emptied(out)
        ends = both(job, rng.choice([0, rng.uniform(0, job.seconds)]))
        case = f"{number}: {job.name}"
        table.add(job.name, " and ".join(str(code) for code in sorted(one.code for one in ends)))
        codes = sorted(one.code for one in ends)
        if codes not in ([0, 5], [0, 0]) or (codes == [0, 0] and job.name not in AGAIN):
            table.fail(f"{case}: {codes}: {[one.err[-300:] for one in ends]}")
        if any(one.traceback for one in ends):
            table.fail(f"{case}: {[one.err[-300:] for one in ends]}")
        if [content(path) for path in job.made] != job.contents:
            table.fail(f"{case}: other content")
        if left := [path.name for folder in {out, job.made[0].parent} for path in folder.glob(".*")]:
            table.fail(f"{case}: leaves {left}")
    table.show()


@pytest.mark.slow
def test_a_disk_that_fills(whole, mounted):
    run_full(whole, mounted, 11)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_a_disk_that_fills_at_every_stage(whole, mounted):
    run_full(whole, mounted, count("resources", 300))


@pytest.mark.slow
def test_a_few_environments_that_lack_something(whole, tmp_path):
    lacking = [name for name in LACKING if name not in ("folder read-only", "folder of another user")]
    run_lacking(whole, tmp_path / "out", ("ingest", "all users", "export"), tuple(lacking))


@pytest.mark.campaign
@pytest.mark.timeout(0)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user and mount file systems")
@pytest.mark.parametrize("name", NAMES)
def test_environments_that_lack_something(whole, name):
    with of_everybody(whole) as copied:
        run_lacking(copied, copied.parent / "out", (name,), tuple(LACKING))


@pytest.mark.slow
def test_a_few_pairs_of_runs(whole, tmp_path):
    run_two(whole, tmp_path / "out", 11)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_pairs_of_runs(whole, tmp_path):
    run_two(whole, tmp_path / "out", count("pairs", 110))

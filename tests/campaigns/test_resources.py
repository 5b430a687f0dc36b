"""A small file system that fills at each stage: a command ends with 0 and whole results, or with 4 or 5 and none.

It is a tmpfs of its own, mounted for the test; without the right to mount it is skipped.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from campaigns import forking
from campaigns.table import Table, count, seed
from campaigns.test_crash import content, jobs, whole

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["whole"]

PAGE = 4096


@pytest.fixture
def mounted(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system can't be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, left: int, after_s: float, child: int) -> None:
    """Take all room but some bytes, after some time."""
    time.sleep(after_s)
    free = shutil.disk_usage(folder).free
    with suppress(OSError):
        (folder / "filling").write_bytes(bytes(max(0, free - left)))


def run_full(whole: Path, folder: Path, n: int) -> None:
    table = Table("a disk that fills")
    names = [name for name in jobs(whole, folder) if name != "tune"]
    sizes: dict[str, int] = {}
    seconds: dict[str, float] = {}
    wanted: dict[str, list[object]] = {}
    for number in range(-len(names), n):
        rng = random.Random(f"{seed()}-{number}")
        name = names[number % len(names)]
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        out = folder / "out"
        out.mkdir()
        command, made = jobs(whole, out)[name]
        if number < 0:
            began = time.monotonic()
            assert forking.run(*command).code == 0
            seconds[name] = time.monotonic() - began
            wanted[name] = [content(path) for path in made]
            sizes[name] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            continue
        # Twice the result is room for a spool too. The plan may refuse before any work, unless it was made by then.
        room = rng.randrange(0, 2 * sizes[name] // PAGE + 8) * PAGE
        after_s = rng.choice([0, rng.uniform(0, seconds[name])])
        case = f"{number}: {name} with {room} bytes after {after_s:.3f} s"
        if after_s:
            ended = forking.run(*command, disturb=partial(fill, folder, room, after_s))
        else:
            fill(folder, room, 0, 0)
            ended = forking.run(*command)
        table.add(name, ended.code)
        if ended.code not in (0, 4, 5) or ended.traceback:
            table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
        elif ended.code == 0 and [content(path) for path in made] != wanted[name]:
            table.fail(f"{case}: other content")
        elif ended.code and name != "run" and any(path.exists() for path in made):
            table.fail(f"{case}: something is left under the final name")
        (folder / "filling").unlink(missing_ok=True)
        if ended.code and forking.run(*command).code:
            table.fail(f"{case}: with room it does not go on")
        if left := [path.name for path in out.glob(".*")]:
            table.fail(f"{case}: leaves {left}")
    table.show()


@pytest.mark.slow
def test_a_disk_that_fills(whole, mounted):
    run_full(whole, mounted, 18)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_a_disk_that_fills_at_every_stage(whole, mounted):
    run_full(whole, mounted, count("resources", 300))

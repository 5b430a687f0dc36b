"""Logs written and `lastfm-dask` run as people run it, for tests of `ingest` and what goes with it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = (sys.executable, "-m", "lastfm_dask")


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, errors="surrogateescape", timeout=300, check=False, cwd=cwd
    )


def succeed(*arguments: object, cwd: Path | None = None) -> str:
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def succeed_json(*arguments: object, cwd: Path | None = None) -> dict[str, Any]:
    return json.loads(succeed(*arguments, "--json", cwd=cwd))


def fail(code: int, *arguments: object, cwd: Path | None = None) -> str:
    """Run a command that has to end with this code and nothing on stdout; return what it says."""
    done = run(*arguments, cwd=cwd)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def lines(n_users: int = 40, per_user: int = 25, seed: int = 0) -> list[bytes]:
    """Return lines of a log in the published format: users in runs, plays falling, names of all kinds."""
    rng = random.Random(seed)
    artists = [
        "radiohead",
        "Sigur Rós",
        "björk",
        '"weird al" yankovic',
        "nan",
        "null",
        "n/a",
        "=",
        "U2",
        "u2",
    ]
    artists += [f"artist {i}" for i in range(3 * per_user)]
    found = []
    for _ in range(n_users):
        user = f"{rng.getrandbits(160):040x}"
        plays = sorted((rng.randint(1, 900) for _ in range(per_user)), reverse=True)
        for artist, n in zip(rng.sample(artists, per_user), plays, strict=True):
            mbid = "" if rng.random() < 0.1 else f"{rng.choice(artists)}-{rng.randint(0, 3)}".encode().hex()
            found.append(f"{user}\t{mbid}\t{artist}\t{n}\n".encode())
    return found


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something holds while a process runs."""
    deadline = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, "the command ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.002)

"""The command line run as people run it: in a process of its own, with its exit code checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

PROGRAM = (sys.executable, "-m", "lastfm_dask")

Done = subprocess.CompletedProcess[str]


def start(
    *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Start a command, with these variables beside the environment's; no cluster but the one that they name."""
    variables = {name: value for name, value in os.environ.items() if name != "DASK_SCHEDULER_ADDRESS"}
    return subprocess.Popen(
        [*PROGRAM, *(one if isinstance(one, bytes) else str(one) for one in arguments)],
        env={**variables, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
    )


def finish(process: subprocess.Popen[str], code: int | None = 0, timeout_s: float = 300) -> Done:
    """Wait for a command, compare its exit code with the one that is due (None: any), and return what it said."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert code is None or process.returncode == code, f"ended with {process.returncode}: {err}"
    return Done(process.args, process.returncode, out, err)


def run(
    *arguments: object,
    code: int | None = 0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Done:
    """Run a command to its end; see `finish`."""
    return finish(start(*arguments, env=env, cwd=cwd), code)


def succeed(*arguments: object, cwd: Path | None = None) -> str:
    """Run a command and return what it printed."""
    return run(*arguments, cwd=cwd).stdout


def succeed_json(*arguments: object, cwd: Path | None = None) -> dict[str, Any]:
    """Run a command with `--json` and return what it printed."""
    return json.loads(succeed(*arguments, "--json", cwd=cwd))


def fail(code: int, *arguments: object, cwd: Path | None = None) -> str:
    """Run a command that has to end with this code and nothing on stdout; return its message."""
    done = run(*arguments, code=code, cwd=cwd)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something holds while a process runs."""
    deadline = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, "the command ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.002)

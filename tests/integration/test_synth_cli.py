"""`lastfm-dask synth` as people run it: output, exit codes, and what a signal leaves."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import finish, run, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_writes_a_log_and_describes_it(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    done = run("synth", path, "--users", 150, "--seed", 3, "--json")
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["rows"] == path.read_bytes().count(b"\n")
    assert said["size_bytes"] == path.stat().st_size
    assert said["seed"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["log.tsv"]
    table = run("synth", tmp_path / "again.tsv", "--users", 150, "--seed", 3, "--threads", 1)
    assert f"{said['rows']:,}" in table.stdout
    digests = {hashlib.sha256(p.read_bytes()).digest() for p in tmp_path.iterdir()}
    assert len(digests) == 1
    run("synth", tmp_path / "other.tsv", "--users", 150, "--seed", 4)
    assert (tmp_path / "other.tsv").read_bytes() != path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("there.tsv", "--users", 3), 5, "exists already"),
        (("missing/log.tsv", "--users", 3), 5, "can't be written"),
        (("log.tsv", "--users", 3, "--rows", 2), 3, "2 rows can't be had with 3 users"),
        (("log.tsv", "--users", 0), 2, "--users"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, arguments: tuple[object, ...], code: int, words: str) -> None:
    (tmp_path / "there.tsv").write_text("mine")
    done = run("synth", tmp_path / str(arguments[0]), *arguments[1:], code=code)
    assert words in done.stderr
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["there.tsv"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start("synth", tmp_path / "log.tsv")
    wait_until(lambda: any(tmp_path.iterdir()), process)
    process.send_signal(number)
    finish(process, code)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_full_size_takes_little_memory(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from lastfm_dask.synthesis import LogSize, write_log;"
        "write_log(Path(sys.argv[1]), LogSize()); print(open('/proc/self/status').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log.tsv")],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    peak_kib = int(done.stdout.split("VmHWM:")[1].split()[0])
    assert peak_kib < 384 * 1024
    assert (tmp_path / "log.tsv").stat().st_size > 1 << 30

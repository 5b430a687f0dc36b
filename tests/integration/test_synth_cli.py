"""`lastfm-dask synth` as people run it: output, exit codes, and what a signal leaves."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SYNTH = (sys.executable, "-m", "lastfm_dask", "synth")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SYNTH, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def test_writes_a_log_and_describes_it(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    done = run(path, "--users", 150, "--seed", 3, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["rows"] == path.read_bytes().count(b"\n")
    assert said["size_bytes"] == path.stat().st_size
    assert said["seed"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["log.tsv"]
    table = run(tmp_path / "again.tsv", "--users", 150, "--seed", 3, "--threads", 1)
    assert f"{said['rows']:,}" in table.stdout
    digests = {hashlib.sha256(p.read_bytes()).digest() for p in tmp_path.iterdir()}
    assert len(digests) == 1
    run(tmp_path / "other.tsv", "--users", 150, "--seed", 4)
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
    done = run(tmp_path / str(arguments[0]), *arguments[1:])
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["there.tsv"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [*SYNTH, str(tmp_path / "log.tsv")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(3_000):
        if any(tmp_path.iterdir()):
            break
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
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

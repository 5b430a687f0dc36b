"""`ingest` disturbed: killed and resumed, interrupted, run twice at once, a source that changes; what is left."""

from __future__ import annotations

import gzip
import json
import signal
from typing import TYPE_CHECKING

import pytest
from command_line import fail, start, succeed_json, wait_until
from ingesting import lines

from lastfm_dask.dataset import layout

if TYPE_CHECKING:
    from pathlib import Path

# Enough blocks that a command is caught in the middle of them.
SLOWLY = ("--block-size", "100000", "--threads", "1")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.tsv"
    path.write_bytes(b"".join(lines(60, 25)) * 100)
    return path


@pytest.fixture(scope="module")
def wanted(log) -> str:
    """The fingerprint of the log's dataset, made undisturbed and with other blocks."""
    return succeed_json("ingest", log, "-o", log.parent / "undisturbed")["fingerprint"]


def begun(log: Path, output: Path, *options: object):
    """Start an ingest and wait until some blocks are done."""
    process = start("ingest", log, "-o", output, *SLOWLY, *options)
    spool = output.parent / f".{output.name}.work" / "spool"
    wait_until(lambda: sum(1 for _ in spool.glob("*.arrow")) > 3, process)
    return process


def resumed_blocks(output: Path) -> int:
    receipts = json.loads((output / layout.RECEIPTS).read_text())
    return next(stage for stage in receipts["stages"] if stage["stage"] == "scan")["resumed_blocks"]


@pytest.mark.parametrize("packed", [False, True])
def test_killed_in_the_middle_it_resumes_to_the_same_bytes(log, wanted, tmp_path, packed):
    if packed:
        source = tmp_path / "log.tsv.gz"
        source.write_bytes(gzip.compress(log.read_bytes(), 1))
        log = source
    output = tmp_path / "x.dataset"
    process = begun(log, output)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    found = succeed_json("ingest", log, "-o", output, *SLOWLY)
    assert found["fingerprint"] == wanted
    assert resumed_blocks(output) > 3
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_with_nothing_half_written(log, wanted, tmp_path, sent, code):
    output = tmp_path / "x.dataset"
    process = begun(log, output, "--threads", 2)
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, "")
    assert "Traceback" not in stderr
    assert "nothing was left half-written" in stderr
    assert not output.exists()
    assert succeed_json("ingest", log, "-o", output, *SLOWLY)["fingerprint"] == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["x.dataset"]


def test_a_second_run_is_refused_while_the_first_builds(log, wanted, tmp_path):
    output = tmp_path / "x.dataset"
    process = begun(log, output)
    process.send_signal(signal.SIGSTOP)
    try:
        assert "another run is building" in fail(5, "ingest", log, "-o", output)
    finally:
        process.send_signal(signal.SIGCONT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads((output / layout.MANIFEST).read_text())["fingerprint"] == wanted


@pytest.mark.slow
def test_blocks_of_another_source_or_setting_are_not_resumed(log, wanted, tmp_path):
    output = tmp_path / "x.dataset"
    process = begun(log, output)
    process.kill()
    process.communicate()
    other = tmp_path / "other.tsv"
    other.write_bytes(log.read_bytes())
    found = succeed_json("ingest", other, "-o", output, *SLOWLY)
    assert found["fingerprint"] == wanted
    assert resumed_blocks(output) == 0


def test_blocks_that_did_not_reach_the_disk_whole_are_made_anew(log, wanted, tmp_path):
    output = tmp_path / "x.dataset"
    process = begun(log, output)
    process.kill()
    process.communicate()
    first, second, third, *_ = sorted((tmp_path / ".x.dataset.work" / "spool").glob("*.arrow"))
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-9])
    third.write_bytes(bytes(third.stat().st_size))
    assert succeed_json("ingest", log, "-o", output, *SLOWLY)["fingerprint"] == wanted


def test_a_source_that_changes_while_it_is_read_is_refused(log, tmp_path):
    source, output = tmp_path / "log.tsv", tmp_path / "x.dataset"
    source.write_bytes(log.read_bytes())
    process = begun(source, output)
    process.send_signal(signal.SIGSTOP)
    with source.open("ab") as file:
        file.write(b"more\n")
    process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "changed while it was read" in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["log.tsv"]

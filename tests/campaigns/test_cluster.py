"""Faults of real clusters while they scan: the embedded run's bytes or exit code 7, in time, and going on reads little again.

Schedulers and workers are processes on this machine. Each fault comes after a random number of blocks. After exit code
7 an embedded run takes what is there and reads the rest.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from clusters import Cluster, cluster
from command_line import finish, run, start
from jobs import fingerprint, n_spooled

from campaigns.table import Table, count, seed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STALL_S = 5
MOST_S = 120
"""A run that takes longer hangs: far more than a healthy run and the stall timeout together."""
BLOCK_BYTES = 16 << 10
AGAIN = 0.1
"""Of the blocks that were done, the share that going on may read again."""


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.tsv"
    run("synth", path, "--users", 500, "--json")
    return path


@pytest.fixture(scope="module")
def right(log) -> dict[str, str]:
    # Named from its folder, as below: rejects.tsv holds the name.
    run("ingest", log.name, "-o", "right.dataset", "--json", cwd=log.parent)
    return fingerprint(log.parent / "right.dataset")


class Line:
    """A line between a worker and its scheduler that can be cut: what it carries is dropped then."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_cut = threading.Event()
        self._ends: list[socket.socket] = []
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                far = socket.create_connection(self._target)
                self._ends.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        # Neither side hears of what is cut, as where a cable is pulled.
        with suppress(OSError):
            try:
                while data := source.recv(1 << 16):
                    if not self._is_cut.is_set():
                        target.sendall(data)
            finally:
                # Also where the connection was reset, as a killed process leaves it.
                if not self._is_cut.is_set():
                    target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self._is_cut.set()

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of one mebibyte; skip where that can't be done."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system can't be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Faults:
    """What goes wrong with a cluster of two workers."""

    def __init__(self, it: Cluster, rng: random.Random, line: Line, disk: Path) -> None:
        self.it, self.rng, self.line, self.disk = it, rng, line, disk

    def worker_killed(self) -> None:
        self.it.workers[-1].kill()

    def all_workers_killed(self) -> None:
        for process in self.it.workers[-2:]:
            process.kill()

    def worker_replaced(self) -> None:
        self.it.workers[-1].kill()
        self.it.add_worker()

    def worker_terminated(self) -> None:
        self.it.workers[-1].terminate()

    def worker_stopped(self) -> None:
        self.it.workers[-1].send_signal(signal.SIGSTOP)

    def worker_stopped_for_a_while(self) -> None:
        self.worker_stopped()
        time.sleep(self.rng.uniform(0, STALL_S))
        self.it.workers[-1].send_signal(signal.SIGCONT)

    def worker_slow(self) -> None:
        """It works a tenth of the time."""
        for _ in range(8):
            self.worker_stopped()
            time.sleep(0.27)
            self.it.workers[-1].send_signal(signal.SIGCONT)
            time.sleep(0.03)

    def worker_cut_off(self) -> None:
        self.line.cut()

    def worker_with_full_disk(self) -> None:
        with suppress(OSError):
            (self.disk / "filling").write_bytes(bytes(1 << 20))

    def scheduler_killed(self) -> None:
        self.it.scheduler.kill()

    def scheduler_stopped(self) -> None:
        self.it.scheduler.send_signal(signal.SIGSTOP)


FAULTS = [name for name in vars(Faults) if not name.startswith("_")]


def disturbed(folder: Path, log: Path, rng: random.Random, fault: str) -> int:
    """Run ingest on a cluster of its own, let one thing go wrong, and return how it ended."""
    output = folder / "log.dataset"
    with ExitStack() as stack:
        it = stack.enter_context(cluster(folder / "cluster", n_workers=1))
        line = Line(it.address)
        stack.callback(line.close)
        disk = folder / "disk"
        if fault == "worker_with_full_disk":
            disk = stack.enter_context(full_disk(disk))
        address, it.address = it.address, line.address
        # The second worker may be cut off, and its scratch may be full.
        it.add_worker("--local-directory", str(disk))
        it.address = address
        it.wait_for_workers(2)
        job = start(
            "ingest", log.name, "-o", output, "--block-size", BLOCK_BYTES, "--scheduler", address,
            "--stall-timeout", STALL_S, "--json", cwd=log.parent,
        )  # fmt: skip
        stack.callback(job.kill)
        wanted = rng.randrange(log.stat().st_size // BLOCK_BYTES)
        end = time.monotonic() + MOST_S
        while job.poll() is None and n_spooled(output) < wanted:
            assert time.monotonic() < end, "a healthy cluster does nothing"
            time.sleep(0.005)
        getattr(Faults(it, rng, line, disk), fault)()
        _, err = job.communicate(timeout=MOST_S)
        assert "Traceback" not in err, err
        assert "unforeseen" not in err, err
        if job.returncode == 7:
            assert "resumes" in err, err
        assert job.returncode in (0, 7), f"ended with {job.returncode}: {err}"
    return job.returncode


def gone_on(log: Path, output: Path) -> None:
    """Let an embedded run take what is there; it reads at most a tenth of that again."""
    had = n_spooled(output)
    finish(
        start("ingest", log.name, "-o", output, "--block-size", BLOCK_BYTES, "--json", cwd=log.parent),
        timeout_s=MOST_S,
    )
    receipts = json.loads((output / "receipts.json").read_text())
    resumed = next(stage["resumed_blocks"] for stage in receipts["stages"] if stage["stage"] == "scan")
    assert resumed >= (1 - AGAIN) * had, f"{resumed} of {had} blocks were taken over"


def run_faults(folder: Path, log: Path, right: dict[str, str], n: int, faults: list[str]) -> None:
    table = Table("cluster")
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        fault = faults[number % len(faults)]
        place = folder / str(number)
        place.mkdir()
        try:
            code = disturbed(place, log, rng, fault)
            table.add(fault, code)
            if code:
                gone_on(log, place / "log.dataset")
            assert fingerprint(place / "log.dataset") == right, "other bytes"
            left = {path.name for path in place.iterdir()} - {"cluster", "disk", "log.dataset"}
            assert not left, f"leaves {left}"
        except (AssertionError, subprocess.TimeoutExpired) as error:
            table.fail(f"{number}: {fault}: {str(error)[:500]}")
        shutil.rmtree(place)
    table.show()


@pytest.mark.slow
def test_a_few_faults_of_clusters(log, right, tmp_path):
    run_faults(tmp_path, log, right, 3, ["worker_terminated", "worker_cut_off", "scheduler_killed"])


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_faults_of_clusters(log, right, tmp_path):
    run_faults(tmp_path, log, right, count("cluster", 200), FAULTS)

"""Real Dask clusters for tests: `dask scheduler` and `dask worker` processes on loopback, on free ports.

Whatever a test does, leaving the `with` block kills every process that was started, stopped ones too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    "DASK_DISTRIBUTED__WORKER__LIFETIME__RESTART": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    # The tasks of tests live in modules that workers must import too.
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'integration'}",
}


@dataclass
class Cluster:
    """Processes of one cluster. `workers` are the processes that hold a worker, nannies where they are used."""

    folder: Path
    env: Mapping[str, str]
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    @property
    def scheduler_file(self) -> Path:
        return self.folder / "scheduler.json"

    def spawn(self, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """Start one process of this cluster, in a session of its own, with its output in a file."""
        with (self.folder / log).open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=self.folder,
                env={**os.environ, **QUICK, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def start_scheduler(self, *options: str, host: str = "tcp://127.0.0.1") -> None:
        self.scheduler = self.spawn(
            "scheduler", "--host", host, "--port", "0", "--no-dashboard",
            "--scheduler-file", str(self.scheduler_file), *options, log="scheduler.log",
        )  # fmt: skip
        until(lambda: self.scheduler_file.exists() and self._read_address(), "the scheduler", self.scheduler)

    def _read_address(self) -> bool:
        try:
            self.address = json.loads(self.scheduler_file.read_text())["address"]
        except (ValueError, KeyError):
            return False
        return True

    def add_worker(
        self, *options: str, nanny: bool = False, memory: str = "400MiB", n_threads: int = 1
    ) -> subprocess.Popen[bytes]:
        """Start a worker; returns before it has joined."""
        number = len(self.workers)
        process = self.spawn(
            "worker", self.address, "--name", str(number), "--nthreads", str(n_threads), "--memory-limit", memory,
            "--nanny" if nanny else "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder / "scratch"),
            *options, log=f"worker-{number}.log",
        )  # fmt: skip
        self.workers.append(process)
        return process

    def wait_for_workers(self, count: int) -> None:
        """Wait until the scheduler's log names that many workers that have joined."""
        until(lambda: self.logs("scheduler").count("Register worker") >= count, f"{count} workers")

    def children(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The processes that one of this cluster started, as a nanny its worker."""
        return psutil.Process(process.pid).children(recursive=True)

    def logs(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        for process in self.started:
            for signum in (signal.SIGCONT, signal.SIGKILL):
                try:
                    os.killpg(process.pid, signum)
                except (ProcessLookupError, PermissionError):
                    break
            process.wait()


def until(
    condition, what: str, process: subprocess.Popen[bytes] | None = None, timeout_s: float = 60.0
) -> None:
    """Wait for a condition; fail loudly when it never comes, or when the process has ended."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process is not None and process.poll() is not None:
            msg = f"{what}: the process ended with {process.returncode}"
            raise AssertionError(msg)
        if time.monotonic() > deadline:
            msg = f"{what}: waited {timeout_s:g} s in vain"
            raise AssertionError(msg)
        time.sleep(0.02)


@contextmanager
def cluster(
    folder: Path,
    *,
    n_workers: int = 2,
    nanny: bool = False,
    memory: str = "400MiB",
    env: Mapping[str, str] | None = None,
    scheduler_options: tuple[str, ...] = (),
    worker_options: tuple[str, ...] = (),
    host: str = "tcp://127.0.0.1",
) -> Iterator[Cluster]:
    """Run a scheduler and workers; all workers have joined when this gives the cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    it = Cluster(folder, env or {})
    try:
        it.start_scheduler(*scheduler_options, host=host)
        for _ in range(n_workers):
            it.add_worker(*worker_options, nanny=nanny, memory=memory)
        it.wait_for_workers(n_workers)
        yield it
    finally:
        it.close()

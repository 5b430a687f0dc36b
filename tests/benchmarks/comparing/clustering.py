"""`ingest` on threads of one process against a cluster of two workers on the same machine."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from comparing.contest import HEADS, Contestant, markdown
from comparing.ingesting import last_json, ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from comparing.contest import Entry

_START_TIMEOUT_S = 120.0
_END_TIMEOUT_S = 10.0


@contextmanager
def cluster(folder: Path, n_workers: int = 2) -> Iterator[tuple[Path, list[int]]]:
    """Start a scheduler and workers of one thread; give the scheduler file and the processes' ids."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    place = ("--no-dashboard", "--scheduler-file", str(file))
    started = []
    try:
        with (folder / "log").open("wb") as log:
            command = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *place]
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
            for number in range(n_workers):
                scratch = folder / f"scratch-{number}"
                options = (
                    "--nthreads",
                    "1",
                    "--no-nanny",
                    "--host",
                    "127.0.0.1",
                    "--local-directory",
                    str(scratch),
                )
                started.append(subprocess.Popen([*dask, "worker", *options, *place], stdout=log, stderr=log))
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (folder / "log").read_text(errors="replace").count("Register worker") < n_workers:
            if time.monotonic() > deadline or any(process.poll() is not None for process in started):
                msg = f"the cluster did not start: {(folder / 'log').read_text(errors='replace')[-1000:]}"
                raise RuntimeError(msg)
            time.sleep(0.1)
        yield file, [process.pid for process in started]
    finally:
        # Workers first, while there is a scheduler to say goodbye to; one that does not end is ended.
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def contestants(source: Path, scheduler_file: Path, pids: list[int]) -> list[Contestant]:
    """Return both ways. The cluster's processes count in memory, not in processor time."""

    def ingest(folder: Path, *options: str) -> list[str]:
        return ours("ingest", str(source), "-o", str(folder / "out.dataset"), *options, "--json")

    return [
        Contestant("threads of this process", ingest, last_json),
        Contestant(
            "scheduler and two workers",
            lambda folder: ingest(folder, "--scheduler-file", str(scheduler_file)),
            last_json,
            beside=lambda: pids,
        ),
    ]


def table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table, and whether both made the same bytes."""
    base_s = next(iter(entries.values())).wall_s
    prints = {said["fingerprint"] for entry in entries.values() for said in entry.said}
    same = "the same bytes" if len(prints) == 1 else f"DIFFERENT bytes: {sorted(prints)}"
    return markdown(HEADS, [entry.row(base_s) for entry in entries.values()]) + f"\n\nAll runs made {same}."

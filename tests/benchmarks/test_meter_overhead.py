"""What the sampler costs: one reading alone, and ingest with and without it, in turn. Figures are printed.

python -m pytest -m benchmark tests/benchmarks/test_meter_overhead.py -s
"""

from __future__ import annotations

import functools
import json
import shutil
import statistics
import threading
import time
from typing import TYPE_CHECKING

import click
import pytest

from lastfm_dask.ingestion.pipeline import ingest
from lastfm_dask.memory import meter
from lastfm_dask.memory.probe import Probe
from lastfm_dask.synthesis import LogSize, write_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.benchmark
ROUNDS = 15
NEVER_S = 3600.0


def test_one_reading_alone() -> None:
    """What a reading costs of a processor, and so of a stage whose threads keep all of them busy."""
    n_readings = 5000
    probe = Probe()
    began = time.thread_time()
    for _ in range(n_readings):
        probe.read()
    cost_s = (time.thread_time() - began) / n_readings
    probe.close()
    share = cost_s / meter.INTERVAL_S
    click.echo(
        f"\na reading: {cost_s * 1e6:.0f} µs, every {meter.INTERVAL_S * 1000:.0f} ms: {share:.3%} of a processor"
    )


def test_the_thread_with_its_wake_ups() -> None:
    """The same over two idle seconds, with the thread's wake-ups and locks: what this process is charged with."""
    spent = {}
    for interval_s in (NEVER_S, meter.INTERVAL_S):
        with meter.Meter(interval_s) as running, running.stage("scan"):
            began, cpu = time.perf_counter(), time.process_time()
            threading.Event().wait(2)
            spent[interval_s] = (time.process_time() - cpu) / (time.perf_counter() - began)
    click.echo(f"\nidle, the sampler's share of a processor: {spent[meter.INTERVAL_S] - spent[NEVER_S]:.3%}")


def test_ingest_with_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest in turn with the sampler and with one that never wakes: processor seconds, wall seconds, peak memory."""
    source = tmp_path / "log.tsv"
    write_log(source, LogSize.for_users(18_000), seed=1)
    found: dict[str, list[tuple[float, float, int]]] = {"with": [], "without": []}
    for number in range(2 * ROUNDS):
        name = "with" if number % 2 else "without"
        interval_s = meter.INTERVAL_S if name == "with" else NEVER_S
        with monkeypatch.context() as patch:
            patch.setattr(meter, "Meter", functools.partial(meter.Meter, interval_s))
            began, before = time.perf_counter(), time.process_time()
            ingest(source, tmp_path / "a.dataset")
            cpu_s, wall_s = time.process_time() - before, time.perf_counter() - began
        stages = json.loads((tmp_path / "a.dataset/receipts.json").read_text())["stages"]
        found[name].append((cpu_s, wall_s, max(stage["measured_bytes"] for stage in stages)))
        shutil.rmtree(tmp_path / "a.dataset")
    click.echo()
    for name, runs in found.items():
        cpu, wall, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        click.echo(
            f"ingest {name:8} {cpu:.3f} s of processors, {wall:.3f} s, peak {peak / (1 << 20):.0f} MiB"
        )
    lowest = {name: min(cpu_s for cpu_s, _, _ in runs) for name, runs in found.items()}
    click.echo(f"lowest processor seconds: {lowest['with'] / lowest['without'] - 1:+.2%} with the sampler")

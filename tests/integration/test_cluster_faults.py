"""Ingest by the command line on real clusters: the embedded run's bytes, whoever dies on the way."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import signal
import time

import pytest
from clusters import ROOT, cluster, until
from command_line import finish, run, start
from jobs import fingerprint, n_spooled

BLOCK_BYTES = 64 << 10


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log with the real one's quirks, and a few lines that are rejected."""
    path = tmp_path_factory.mktemp("log") / "log.tsv"
    run("synth", path, "--users", 3000, "--json")
    data = path.read_bytes()
    middle = data.index(b"\n", len(data) // 2) + 1
    path.write_bytes(data[:middle] + b"one field\nu\t\tno plays\t0\n\xff\t\ta\t1\n" + data[middle:])
    return path


@pytest.fixture(scope="module")
def embedded(log, tmp_path_factory):
    """The fingerprint of the embedded run, in blocks of another size."""
    output = tmp_path_factory.mktemp("embedded") / "log.dataset"
    run("ingest", log.name, "-o", output, "--json", cwd=log.parent)
    return fingerprint(output)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two healthy workers that tests may use, but not harm."""
    with cluster(tmp_path_factory.mktemp("cluster")) as it:
        yield it


def ingest(log, output, *options):
    # Named from its folder: workers work in another one.
    return start(
        "ingest", log.name, "-o", output, "--block-size", BLOCK_BYTES, "--json", *options, cwd=log.parent
    )


def receipts(dataset):
    return json.loads((dataset / "receipts.json").read_text())


def scan_receipt(dataset):
    return next(stage for stage in receipts(dataset)["stages"] if stage["stage"] == "scan")


def test_a_cluster_gives_the_bytes_of_the_embedded_run_and_receipts_by_worker(
    log, embedded, shared, tmp_path
):
    output = tmp_path / "log.dataset"
    finish(ingest(log, output, "--scheduler", shared.address))
    assert fingerprint(output) == embedded
    n_blocks = -(-log.stat().st_size // BLOCK_BYTES)
    workers = receipts(output)["workers"]
    assert sum(worker["n_blocks"] for worker in workers.values()) == n_blocks
    assert len(workers) == 2
    assert all(0 < worker["peak_held_bytes"] <= worker["projected_bytes"] for worker in workers.values())


def test_a_compressed_source_is_refused_with_the_advice_to_unpack(log, shared, tmp_path):
    packed = tmp_path / "log.tsv.gz"
    packed.write_bytes(gzip.compress(log.read_bytes(), 1))
    said = finish(ingest(packed, tmp_path / "log.dataset", "--scheduler", shared.address), code=3).stderr
    assert "unpack it first" in said
    assert not (tmp_path / "log.dataset").exists()


def test_the_drivers_budget_and_a_workers_too_small_limit_are_told_apart(log, shared, tmp_path):
    # Six blocks of 100 MiB do not fit 80 % of 400 MiB.
    job = start(
        "ingest", log, "-o", tmp_path / "log.dataset", "--block-size", "100MiB", "--scheduler", shared.address
    )
    said = finish(job, code=7).stderr
    assert said.count("Dask's memory limit") == 2
    assert "smallest limit that would do" in said


@pytest.mark.parametrize("nanny", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_worker_killed_on_the_way_costs_only_repeated_work(log, embedded, tmp_path, nanny):
    output = tmp_path / "log.dataset"
    with cluster(tmp_path / "cluster", n_workers=2, nanny=nanny) as it:
        job = ingest(log, output, "--scheduler", it.address)
        until(lambda: n_spooled(output) > 10, "some blocks", job)
        if nanny:
            # The nanny's child is the worker; the nanny starts another.
            for child in it.children(it.workers[0]):
                child.kill()
        else:
            it.workers[0].kill()
        finish(job)
    assert fingerprint(output) == embedded


@pytest.mark.parametrize(
    ("signum", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_killed_driver_leaves_nothing_under_the_final_name_and_the_next_one_resumes(
    log, embedded, shared, tmp_path, signum, code
):
    output = tmp_path / "log.dataset"
    job = ingest(log, output, "--scheduler", shared.address)
    until(lambda: n_spooled(output) > 10, "some blocks", job)
    job.send_signal(signum)
    finish(job, code=code)
    assert not output.exists()
    had = n_spooled(output)
    finish(ingest(log, output, "--scheduler", shared.address))
    assert fingerprint(output) == embedded
    assert scan_receipt(output)["resumed_blocks"] == had
    n_blocks = scan_receipt(output)["n_blocks"]
    assert sum(worker["n_blocks"] for worker in receipts(output)["workers"].values()) == n_blocks - had


@pytest.mark.parametrize("who", ["workers", pytest.param("scheduler", marks=pytest.mark.slow)])
def test_a_cluster_that_is_gone_ends_with_exit_code_7_and_an_embedded_run_resumes(
    log, embedded, tmp_path, who
):
    output = tmp_path / "log.dataset"
    with cluster(tmp_path / "cluster", n_workers=2) as it:
        job = ingest(log, output, "--scheduler", it.address, "--stall-timeout", 3)
        until(lambda: n_spooled(output) > 10, "some blocks", job)
        for process in it.workers if who == "workers" else [it.scheduler]:
            process.kill()
        said = finish(job, code=7).stderr
    assert ("there are no workers" if who == "workers" else "lost the Dask scheduler") in said
    assert "call again and it resumes" in said
    assert "Traceback" not in said
    assert not output.exists()
    had = n_spooled(output)
    finish(ingest(log, output))
    assert fingerprint(output) == embedded
    assert scan_receipt(output)["resumed_blocks"] == had > 10


@pytest.mark.slow
def test_a_source_that_changed_is_read_anew(log, tmp_path):
    """What was spooled of the old one must not be taken for the new one's."""
    source, output = tmp_path / "log.tsv", tmp_path / "log.dataset"
    shutil.copyfile(log, source)
    job = ingest(source, output)
    until(lambda: n_spooled(output) > 10, "some blocks", job)
    job.kill()
    finish(job, code=-signal.SIGKILL)
    time.sleep(0.01)
    source.write_bytes(log.read_bytes().replace(b"\t1\n", b"\t2\n"))
    finish(ingest(source, output))
    fresh = tmp_path / "fresh.dataset"
    finish(ingest(source, fresh))
    assert scan_receipt(output)["resumed_blocks"] == 0
    assert fingerprint(output) == fingerprint(fresh)


@pytest.mark.slow
def test_workers_that_worked_before_are_judged_by_what_they_hold_and_not_by_what_their_allocator_kept(
    tmp_path,
):
    source = tmp_path / "log.tsv"
    run("synth", source, "--users", 12000, "--json")
    dockerfile = (ROOT / "cluster" / "Dockerfile").read_text()
    env = dict(re.findall(r"((?:MALLOC|ARROW)\w+)=(\w+)", dockerfile))
    # Room for one task of 16 MiB and little more.
    with cluster(tmp_path / "cluster", n_workers=1, memory="340MiB", env=env) as it:
        for number in range(2):
            output = tmp_path / f"{number}.dataset"
            run("ingest", source, "-o", output, "--block-size", "16MiB", "--scheduler", it.address, "--json")
            (worker,) = receipts(output)["workers"].values()
            assert worker["peak_held_bytes"] <= worker["projected_bytes"]

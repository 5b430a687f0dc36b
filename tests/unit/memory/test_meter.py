"""What the meter sees of memory that a stage is known to take."""

from __future__ import annotations

import json
import mmap
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lastfm_dask.memory import meter as meter_module
from lastfm_dask.memory.budget import Budget
from lastfm_dask.memory.meter import MAX_SAMPLES, Meter, anon_bytes, receipts_document, stages_json, thinned
from lastfm_dask.memory.probe import Probe, Sample
from lastfm_dask.memory.proc import Traffic

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def touch(n_bytes: int) -> np.ndarray:
    return np.full(n_bytes, 7, dtype=np.uint8)


def test_a_known_allocation_is_measured() -> None:
    with (
        Meter() as meter,
        meter.stage("scan", projected_bytes=1 << 40, threads=2, block_bytes=16 * MIB) as stage,
    ):
        held = touch(64 * MIB)
        stage.sample()
        del held
        stage.rows = 1000
    receipt = meter.receipts[0]
    assert 64 * MIB <= receipt["measured_bytes"] - receipt["reserved_bytes"] < 80 * MIB
    assert not receipt["exceeded"]
    assert receipt["rows_per_s"] == pytest.approx(1000 / receipt["wall_s"], rel=0.01, abs=1)
    assert (receipt["threads"], receipt["block_bytes"]) == (2, 16 * MIB)
    assert json.loads(json.dumps(receipt)) == receipt


def test_the_sampler_sees_what_comes_and_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, least = threading.Event(), anon_bytes() + 60 * MIB

    class Watched(Probe):
        def read(self) -> Sample:
            sample = super().read()
            if sample.held >= least and threading.current_thread() is not threading.main_thread():
                seen.set()
            return sample

    monkeypatch.setattr(meter_module, "Probe", Watched)
    with Meter(interval_s=0.005) as meter, meter.stage("scan"):
        held = touch(64 * MIB)
        assert seen.wait(timeout=60), "the sampler took no sample"
        # The sampler keeps a sample before it takes the next one.
        seen.clear()
        assert seen.wait(timeout=60)
        del held
    assert meter.receipts[0]["measured_bytes"] - meter.receipts[0]["reserved_bytes"] >= 60 * MIB


def test_pages_of_files_count_apart(tmp_path: Path) -> None:
    path = tmp_path / "pages"
    path.write_bytes(bytes(64 * MIB))
    with (
        Meter() as meter,
        meter.stage("fit") as stage,
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages,
    ):
        sum(pages[i] for i in range(0, len(pages), mmap.PAGESIZE))
        stage.sample()
    receipt = meter.receipts[0]
    assert receipt["measured_bytes"] - receipt["reserved_bytes"] < 16 * MIB
    assert receipt["file_bytes"] >= 64 * MIB
    assert receipt["peak_rss_bytes"] >= 64 * MIB + receipt["reserved_bytes"]


def test_shared_memory_counts_as_held() -> None:
    with Meter() as meter, meter.stage("fit") as stage, mmap.mmap(-1, 32 * MIB) as shared:
        for i in range(0, len(shared), mmap.PAGESIZE):
            shared[i] = 1
        stage.sample()
    receipt = meter.receipts[0]
    assert receipt["measured_bytes"] - receipt["reserved_bytes"] >= 32 * MIB
    assert max(sample["shmem"] for sample in receipt["samples"]) >= 32 * MIB


def test_a_stage_that_needs_more_than_projected_says_so() -> None:
    with Meter() as meter:
        with meter.stage("index", projected_bytes=anon_bytes() + 8 * MIB) as stage:
            held = touch(64 * MIB)
            stage.sample()
        with meter.stage("assemble"):
            del held
    assert [receipt["exceeded"] for receipt in meter.receipts] == [True, False]


def test_bytes_read_and_written_are_counted_unless_given(tmp_path: Path) -> None:
    with Meter() as meter:
        with meter.stage("scan"):
            (tmp_path / "x").write_bytes(bytes(5 * MIB))
            (tmp_path / "x").read_bytes()
        with meter.stage("index") as stage:
            stage.read_bytes, stage.written_bytes = 7, 8
    scan, index = meter.receipts
    assert scan["read_bytes"] >= 5 * MIB
    assert scan["written_bytes"] >= 5 * MIB
    assert (index["read_bytes"], index["written_bytes"]) == (7, 8)


def test_traffic_is_the_larger_of_two_counters_each_compared_with_itself() -> None:
    # A cold start has read more from storage than by calls; what comes after counts alone.
    cold, later = Traffic(10, 1000, 5, 0), Traffic(510, 1000, 6, 4096)
    assert (later.read_since(cold), later.written_since(cold)) == (500, 4096)


def test_a_stage_that_fails_leaves_its_receipt_and_the_next_can_begin() -> None:
    with Meter() as meter:
        with pytest.raises(ZeroDivisionError), meter.stage("scan"):
            _ = 1 / 0
        with meter.stage("index"):
            pass
    assert [receipt["stage"] for receipt in meter.receipts] == ["scan", "index"]


def test_stages_do_not_nest() -> None:
    with (
        Meter() as meter,
        meter.stage("scan"),
        pytest.raises(RuntimeError, match="within stage scan"),
        meter.stage("index"),
    ):
        pass


def test_the_time_line_is_bounded_and_keeps_its_peak() -> None:
    samples = [(float(t), Sample(1000 + (t == 4321) * 9, 0, t % 2, None, None)) for t in range(10_000)]
    kept = thinned(samples, 200)
    assert len(kept) == 200
    assert max(sample.held for _, sample in kept) == max(sample.held for _, sample in samples)
    assert [t for t, _ in kept] == sorted(t for t, _ in kept)
    with Meter(interval_s=60) as meter, meter.stage("fit") as stage:
        for _ in range(10 * MAX_SAMPLES):
            stage.sample()
    assert 0 < len(meter.receipts[0]["samples"]) <= MAX_SAMPLES


def test_a_closed_probe_still_answers(tmp_path: Path) -> None:
    probe = Probe(tmp_path)  # A folder without /proc: psutil gives one figure.
    assert probe.read().anon > MIB
    probe.close()
    probe.close()


def test_documents_have_the_documented_keys() -> None:
    with Meter() as meter, meter.stage("scan"):
        pass
    assert [set(stage) for stage in stages_json(meter.receipts)] == [
        {"stage", "wall_s", "reserved_bytes", "projected_bytes", "measured_bytes", "file_bytes"}
    ]
    budget = Budget(5, 1, source="--memory")
    document = receipts_document(meter.receipts, budget, allocator="pooled", threads=2)
    assert set(document) == {"allowed_bytes", "allowed_source", "allocator", "threads", "stages"}
    assert "workers" in receipts_document([], budget, allocator="pooled", threads=2, workers={})

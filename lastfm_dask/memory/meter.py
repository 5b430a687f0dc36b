"""What this process used, stage by stage: a sampling thread, and the receipts it leaves.

A sample every 50 ms reads `/proc/self/status` and the control group's counters.
A spike between two samples is caught by the kernel's own high-water mark where that rose within the stage.
The mark is never reset, because other processes may read it too. Projections come from the plans; here they are
only compared.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from lastfm_dask.events import report
from lastfm_dask.memory.probe import Probe, Sample
from lastfm_dask.memory.proc import Resident, Traffic, resident, traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from lastfm_dask.memory.budget import Budget

INTERVAL_S = 0.05
MAX_SAMPLES = 200
"""How many points of a stage's time line a receipt keeps."""

_STILL_BYTES = 8 << 20
_STAGE_KEYS = ("stage", "wall_s", "reserved_bytes", "projected_bytes", "measured_bytes", "file_bytes")


def anon_bytes() -> int:
    """Return what this process holds now and the kernel can't take back: RssAnon + RssShmem, in bytes."""
    return resident().held


def thinned(samples: Sequence[tuple[float, Sample]], most: int) -> list[tuple[float, Sample]]:
    """Return at most `most` of the samples, evenly over time, each the highest among those it stands for."""
    if len(samples) <= most:
        return list(samples)
    cuts = [len(samples) * i // most for i in range(most + 1)]
    parts = (samples[start:end] for start, end in pairwise(cuts))
    return [max(part, key=lambda timed: timed[1].held) for part in parts]


@dataclass(slots=True)
class Stage:
    """One stage under way. The stage's code sets what it knows; the meter sets what it sees."""

    name: str
    projected_bytes: int | None = None
    threads: int | None = None
    block_bytes: int | None = None
    rows: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    """Further keys for the receipt, which must be JSON."""

    reserved_bytes: int = field(init=False, default=0)
    _meter: Meter | None = field(init=False, default=None, repr=False)
    _samples: list[tuple[float, Sample]] = field(init=False, default_factory=list, repr=False)
    _highest_held: int = field(init=False, default=0)
    _highest_file: int = field(init=False, default=0)
    _lowest_file: int = field(init=False, default=1 << 62)
    _highest_rss: int = field(init=False, default=0)
    _first_peak: int = field(init=False, default=0)
    _first_traffic: Traffic = field(init=False, default=Traffic(0, 0, 0, 0))
    _start_s: float = field(init=False, default=0.0)

    def sample(self) -> None:
        """Look now, at a moment that the code knows to be a peak."""
        if self._meter is not None:
            self._meter.look()

    def _see(self, t_s: float, sample: Sample) -> None:
        self._highest_held = max(self._highest_held, sample.held)
        self._highest_file = max(self._highest_file, sample.file)
        self._lowest_file = min(self._lowest_file, sample.file)
        self._highest_rss = max(self._highest_rss, sample.held + sample.file)
        self._samples.append((t_s, sample))
        # A long stage keeps a bounded time line: half as dense each time it has filled up.
        if len(self._samples) >= 4 * MAX_SAMPLES:
            self._samples = thinned(self._samples, 2 * MAX_SAMPLES)

    def _receipt(self, end_s: float, last: Resident, moved: Traffic) -> dict[str, Any]:
        wall_s = end_s - self._start_s
        measured, peak_rss = self._highest_held, self._highest_rss
        if last.peak_rss > self._first_peak:
            # The mark rose within this stage, perhaps between two samples. Where the file pages kept still, the
            # rest of it was held; where a stage works on memory maps nobody can say, and the samples stand.
            peak_rss = max(peak_rss, last.peak_rss)
            if self._highest_file - self._lowest_file <= _STILL_BYTES:
                measured = max(measured, last.peak_rss - self._highest_file)
        read, written = self.read_bytes, self.written_bytes
        if read is None:
            read = moved.read_since(self._first_traffic)
        if written is None:
            written = moved.written_since(self._first_traffic)
        return {
            "stage": self.name,
            "start_s": round(self._start_s, 4),
            "wall_s": round(wall_s, 4),
            "reserved_bytes": self.reserved_bytes,
            "projected_bytes": self.projected_bytes,
            "measured_bytes": measured,
            "file_bytes": self._highest_file,
            "peak_rss_bytes": peak_rss,
            "exceeded": self.projected_bytes is not None and measured > self.projected_bytes,
            "rows": self.rows,
            "rows_per_s": round(self.rows / wall_s) if self.rows is not None and wall_s > 0 else None,
            "read_bytes": read,
            "written_bytes": written,
            "threads": self.threads,
            "block_bytes": self.block_bytes,
            **self.details,
            "samples": [
                {"t_s": round(t_s, 3), **asdict(sample)}
                for t_s, sample in thinned(self._samples, MAX_SAMPLES)
            ],
        }


class _StageContext:
    """Starts a stage on entry and adds its receipt on exit, also when the stage fails."""

    def __init__(self, meter: Meter, stage: Stage) -> None:
        self._meter = meter
        self._stage = stage

    def __enter__(self) -> Stage:
        self._meter.begin(self._stage)
        return self._stage

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._meter.end(self._stage)


class Meter:
    """Watches this process's memory while it is open, one stage at a time.

    Parameters
    ----------
    interval_s : float
        Seconds between two samples.

    Examples
    --------
    >>> with Meter() as meter, meter.stage("scan", projected_bytes=200 << 20) as stage:
    ...     stage.rows = 17_559_530
    >>> meter.receipts[0]["stage"]
    'scan'
    """

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.receipts: list[dict[str, Any]] = []
        self._interval_s = interval_s
        self._stage: Stage | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._probe: Probe | None = None
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        self._probe = Probe()
        self._began = time.perf_counter()
        self._done.clear()
        self._thread = threading.Thread(target=self._run, name="lastfm-dask-meter", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def stage(
        self,
        name: str,
        *,
        projected_bytes: int | None = None,
        threads: int | None = None,
        block_bytes: int | None = None,
    ) -> _StageContext:
        """Return a context in which the process's memory counts as one stage's.

        Parameters
        ----------
        name : str
            The stage's name in receipts.
        projected_bytes : int, optional
            What the stage was projected to need at most, what is reserved included.
        threads : int, optional
            How many threads it computes with.
        block_bytes : int, optional
            The size of the blocks it works on.
        """
        return _StageContext(self, Stage(name, projected_bytes, threads, block_bytes))

    def begin(self, stage: Stage) -> None:
        """Make a stage the current one; raises RuntimeError if another is under way."""
        if self._stage is not None:
            msg = f"stage {stage.name} can't begin within stage {self._stage.name}"
            raise RuntimeError(msg)
        now = resident()
        stage.reserved_bytes = now.held
        stage._first_peak = now.peak_rss  # noqa: SLF001 - the meter is the other half of a stage
        stage._first_traffic = traffic()  # noqa: SLF001
        stage._start_s = time.perf_counter() - self._began  # noqa: SLF001
        stage._meter = self  # noqa: SLF001
        self._stage = stage
        self.look()

    def end(self, stage: Stage) -> None:
        """End the current stage and add its receipt."""
        self.look()
        with self._lock:
            self._stage = None
        end_s = time.perf_counter() - self._began
        receipt = stage._receipt(end_s, resident(), traffic())  # noqa: SLF001
        self.receipts.append(receipt)
        seen = {key: receipt.get(key) for key in _STAGE_KEYS}
        report("stage", f"{stage.name} ended after {receipt['wall_s']:.2f} s", **seen)

    def look(self) -> None:
        """Take one sample for the current stage."""
        with self._lock:
            if self._stage is not None and self._probe is not None:
                self._stage._see(time.perf_counter() - self._began, self._probe.read())  # noqa: SLF001

    def _run(self) -> None:
        while not self._done.wait(self._interval_s):
            if self._stage is not None:
                self.look()


def stages_json(receipts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the keys of each receipt that `ingest --json` prints."""
    return [{key: receipt.get(key) for key in _STAGE_KEYS} for receipt in receipts]


def receipts_document(
    receipts: list[dict[str, Any]],
    budget: Budget,
    *,
    allocator: str,
    threads: int,
    workers: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what `receipts.json` holds: what was allowed, how it was run, and the receipts by stage."""
    document: dict[str, Any] = {
        "allowed_bytes": budget.allowed,
        "allowed_source": budget.source,
        "allocator": allocator,
        "threads": threads,
        "stages": receipts,
    }
    return document if workers is None else {**document, "workers": workers}

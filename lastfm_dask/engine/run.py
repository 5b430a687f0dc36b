"""One bounded run on a cluster: blocks go out through a window, results come in a few at a time.

Workers may die, stop and join at any time: that costs repeated work. The driver never waits for ever: without a
finished block for the engine's stall timeout, or without a scheduler, the run ends with a ClusterError, and what
has been sunk stays sunk.
"""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from lastfm_dask.engine.base import task_key
from lastfm_dask.engine.worker import Answer, run_block
from lastfm_dask.errors import ClusterError, LastfmDaskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future as Promise

    from distributed import Future

    from lastfm_dask.engine.cluster import ClusterEngine

WINDOW_PER_THREAD = 3
_POLL_S = 1.0
_PATIENCE_S = 5.0
_RETRIES = 2
_MOST_AGAIN = 2
"""How often a block whose workers died is submitted again. Each time Dask tries it on some workers (four by default)
before it gives it up: it blames a dead worker's every block, those that only waited there too."""
GATHERS = 3
"""How many results are on their way to the driver at once; one that is held back by a silent worker is no longer
counted, so that it does not hold up the others."""


@dataclass(slots=True)
class ClusterRun:
    """One `for_each` on a cluster, and the blocks under way in it."""

    engine: ClusterEngine
    task: Callable[[Any], Any]
    sink: Callable[[Any, Any], None]
    key: Callable[[Any], str]
    label: Callable[[Any], str]
    under_way: dict[Future[Any], Any] = field(default_factory=dict)
    """Blocks that are submitted and not yet sunk."""
    finished: deque[Future[Any]] = field(default_factory=deque)
    """Those whose work is done."""
    gathering: dict[Future[Any], float] = field(default_factory=dict)
    """Those whose result is on its way, and since when."""
    events: SimpleQueue[tuple[Future[Any], Promise[Any] | None]] = field(default_factory=SimpleQueue)
    """From Dask's threads: a block's work is done; or its result is here, or can't be had."""
    again: Counter[str] = field(default_factory=Counter)
    """By key, how often a block was submitted again."""
    n_sunk: int = 0
    window: int = 2
    window_at: float = float("-inf")
    progress_at: float = field(default_factory=monotonic)

    def over(self, blocks: Iterator[Any]) -> None:
        """Run all blocks; see `Engine.for_each`."""
        more = True
        try:
            while True:
                more = more and self._fill(blocks)
                if not self.under_way:
                    return
                self._step()
        finally:
            for future in self.under_way:
                _forget(future)

    def _fill(self, blocks: Iterator[Any]) -> bool:
        """Submit up to the window; return whether there may be more blocks."""
        self._resize()
        while len(self.under_way) < self.window:
            block = next(blocks, self)
            if block is self:
                return False
            self._submit(block)
        return True

    def _resize(self) -> None:
        """Fit the window to the workers of this moment, once a second."""
        if monotonic() - self.window_at < _POLL_S:
            return
        # A scheduler that is late with this answer is not lost yet: keep the window, the stall timeout watches.
        with suppress(ClusterError):
            n_threads = sum(self.engine.ask(self.engine.client.nthreads, _PATIENCE_S).values())
            # Without a worker there is work in sight all the same, which is what an adaptive cluster grows for.
            self.window = max(2, WINDOW_PER_THREAD * n_threads)
        self.window_at = monotonic()

    def _submit(self, block: Any) -> None:
        key = self.key(block)
        # A key that failed stays failed until the scheduler has forgotten it: another try has another key.
        suffix = f"-again{self.again[key]}" if self.again[key] else ""
        engine = self.engine
        future = engine.client.submit(
            run_block,
            self.task,
            block,
            engine.run_id,
            engine.preflight.check,
            key=task_key(f"{key}{suffix}"),
            retries=_RETRIES,
        )
        self.under_way[future] = block
        future.add_done_callback(lambda done: self.events.put((done, None)))  # type: ignore[no-untyped-call]

    def _step(self) -> None:
        """Wait a little for an event; end the run if nothing happens for too long."""
        with suppress(Empty):
            future, promise = self.events.get(timeout=_POLL_S)
            if promise is None:
                self.finished.append(future)
            else:
                self._take(future, promise)
        if self.engine.client.status != "running":
            raise self._gone()
        if monotonic() - self.progress_at > self.engine.stall_timeout_s:
            raise self._stalled()
        self._gather()

    def _gather(self) -> None:
        now = monotonic()
        n_fresh = sum(now - since < _PATIENCE_S for since in self.gathering.values())
        while self.finished and n_fresh < GATHERS:
            future = self.finished.popleft()
            self.gathering[future] = now
            promise = self.engine.on_loop(partial(self.engine.client.gather, [future]))
            promise.add_done_callback(partial(self._arrived, future))
            n_fresh += 1

    def _arrived(self, future: Future[Any], promise: Promise[Any]) -> None:
        self.events.put((future, promise))

    def _take(self, future: Future[Any], promise: Promise[list[Answer]]) -> None:
        """Take one result: make sure its worker was checked, sink it, and release it."""
        block = self.under_way.pop(future)
        del self.gathering[future]
        try:
            (answer,) = promise.result()
        except (Exception, CancelledError) as failure:  # noqa: BLE001 - distinguished there
            by_task = future.status == "error"
            _forget(future)
            self._recover(block, failure, by_task=by_task)
            return
        _forget(future)
        use = self.engine.admit(answer.address, answer.facts)
        if answer.error is not None:
            raise self._with_place(answer.error, block, f", on worker {answer.address}")
        self.sink(block, answer.result)
        use.n_blocks += 1
        use.peak_held_bytes = max(use.peak_held_bytes, answer.held_bytes)
        self.n_sunk += 1
        self.progress_at = monotonic()

    def _recover(self, block: Any, failure: BaseException, *, by_task: bool) -> None:
        """Submit a block anew where that may help; else raise what its failure means."""
        from distributed import KilledWorker

        if isinstance(failure, LastfmDaskError):
            raise self._with_place(failure, block, f"; tried {_RETRIES + 1} times") from failure
        # Dask's own word for "no worker came within no-workers-timeout"; the stall timeout is ours.
        patient = type(failure).__name__ == "NoValidWorkerError"
        key = self.key(block)
        lost = not by_task or isinstance(failure, KilledWorker)
        if patient or (lost and self.again[key] < _MOST_AGAIN):
            self.again[key] += 1
            self._submit(block)
            return
        raise (self._failed(block, failure) if by_task else self._gone()) from failure

    def _with_place(self, error: LastfmDaskError, block: Any, where: str) -> LastfmDaskError:
        error.message = f"{error.message} ({self.label(block)}{where})"
        return error

    def _state(self) -> str:
        return f"{self.n_sunk} blocks were finished in this run and are kept; call again and it resumes"

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"lost the Dask scheduler at {self.engine.address()} with {len(self.under_way)} blocks under way. "
            f"{self._state()}, once the scheduler is back"
        )

    def _stalled(self) -> ClusterError:
        waiting = ", ".join(sorted(map(self.label, self.under_way.values()))[:3])
        try:
            processing = self.engine.ask(self.engine.client.processing, _PATIENCE_S)
        except ClusterError as error:
            why = f"the scheduler does not answer ({error})"
        else:
            holds = ", ".join(
                f"{where} ({len(keys)} under way)" for where, keys in sorted(processing.items())[:5]
            )
            why = f"{len(processing)} workers are connected: {holds}" if holds else "there are no workers"
        return ClusterError(
            f"no block was finished for {self.engine.stall_timeout_s:g} s, and {why}. Waited for {waiting}. "
            f"{self._state()}. If blocks do take that long, or workers that stopped answering should be given up "
            "sooner, raise --stall-timeout, or lower distributed.scheduler.worker-ttl at the scheduler"
        )

    def _failed(self, block: Any, failure: BaseException) -> ClusterError:
        from distributed import KilledWorker

        if isinstance(failure, KilledWorker):
            last = getattr(failure.last_worker, "address", "unknown")
            what = (
                f"{self.label(block)}: every worker that took it died, in {1 + _MOST_AGAIN} rounds; the last was "
                f"{last}. Likeliest is its memory limit: raise it, or use a smaller --block-size or fewer threads a "
                "worker"
            )
        else:
            what = f"{self.label(block)} failed {_RETRIES + 1} times on the cluster: {type(failure).__name__}: {failure}"
        return ClusterError(f"{what}. {self._state()}")


def _forget(future: Future[Any]) -> None:
    """Tell the scheduler that a block's result is no longer wanted.

    Dropping the last reference would do so too, but what a signal raises within `__del__` is lost.
    """
    future.release()  # type: ignore[no-untyped-call]

"""The engine on a Dask cluster: connecting, the checks before work, and questions to the scheduler.

Workers get nothing but the task and its block (`worker`); how blocks go out and results come in, and what happens
when workers die, is in `run`; what every worker must have is in `preflight`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from lastfm_dask.engine.base import STALL_TIMEOUT_S, WorkerUse
from lastfm_dask.engine.preflight import (
    Facts,
    Preflight,
    facts_here,
    problems,
    projected_bytes,
    scheduler_problems,
)
from lastfm_dask.engine.run import ClusterRun
from lastfm_dask.engine.worker import facts_of
from lastfm_dask.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future as Promise

    from distributed import Client

B = TypeVar("B")
R = TypeVar("R")

_ANSWER_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 5.0
_LOGGERS = ("distributed", "distributed.client", "distributed.comm", "distributed.core", "tornado", "asyncio")


@dataclass(slots=True)
class ClusterEngine:
    """A Dask cluster, through a client that the caller closes.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    stall_timeout_s : float
        How long to wait without a finished block.
    preflight : Preflight
        What is asked of every worker, before its first result is taken.
    workers : dict
        By address, what each worker did; filled by the run.
    """

    client: Client
    stall_timeout_s: float = STALL_TIMEOUT_S
    preflight: Preflight = field(default_factory=Preflight)
    workers: dict[str, WorkerUse] = field(default_factory=dict)
    on_cluster: bool = field(default=True, init=False)
    run_id: str = field(default_factory=lambda: uuid4().hex, init=False)
    _ours: Facts | None = field(default=None, init=False)

    def check(self) -> None:
        """Check the scheduler and all current workers against `preflight`.

        Workers that do not answer, or go away meanwhile, do not stop the run: a worker
        is checked when it brings its first result.

        Raises
        ------
        ClusterError
            Lists every problem in one message. No work was done.
        """
        from distributed.versions import get_versions

        ours = self._facts()
        # Dask's own calls are in part untyped.
        client: Any = self.client
        theirs = self.ask(lambda: client.run_on_scheduler(get_versions))
        python = ".".join(str(dict(theirs["host"])["python"]).split(".")[:2])
        found = scheduler_problems(ours.versions, {**theirs["packages"], "python": python})
        facts = self.ask(self._ask_workers, 2 * _ANSWER_TIMEOUT_S)
        _refuse(found + problems(ours, facts, self.preflight.task_bytes))
        for address, theirs in facts.items():
            if isinstance(theirs, Facts):
                self._note(address, theirs)

    async def _ask_workers(self) -> dict[str, Facts | str]:
        """Return, by address, each worker's facts, or why it has none; on the client's own loop."""
        client: Any = self.client

        async def ask_one(address: str) -> object:
            question = client.run(
                facts_of, self.run_id, self.preflight.check, workers=[address], on_error="return"
            )
            try:
                return (await asyncio.wait_for(question, _ANSWER_TIMEOUT_S))[address]
            except (OSError, KeyError) as error:
                return error

        addresses = sorted(await client.nthreads())
        answers = await asyncio.gather(*map(ask_one, addresses))
        # An OSError is the way there: what the worker itself could not read stands within its facts.
        return {
            address: answer if isinstance(answer, Facts) else _why_no_facts(answer)
            for address, answer in zip(addresses, answers, strict=True)
            if not isinstance(answer, OSError | KeyError)
        }

    def admit(self, address: str, facts: Facts) -> WorkerUse:
        """Return a worker's record; a worker that joined later is checked against `preflight` first.

        Raises
        ------
        ClusterError
            Lists every problem.
        """
        if address not in self.workers:
            _refuse(problems(self._facts(), {address: facts}, self.preflight.task_bytes))
            self._note(address, facts)
        return self.workers[address]

    def _note(self, address: str, facts: Facts) -> None:
        self.workers[address] = WorkerUse(address, projected_bytes(facts, self.preflight.task_bytes))

    def _facts(self) -> Facts:
        if self._ours is None:
            self._ours = facts_here(self.preflight.check)
        return self._ours

    def address(self) -> str:
        """Return where the scheduler is, or was."""
        return str(getattr(self.client.scheduler, "address", "") or "an unknown address")

    def on_loop(self, question: Callable[[], Any]) -> Promise[Any]:
        """Put a call of the client on its own loop, where it can be waited for with a limit, or left behind."""

        async def ask() -> Any:
            return await question()

        loop: Any = self.client.loop
        return asyncio.run_coroutine_threadsafe(ask(), loop.asyncio_loop)

    def ask(self, question: Callable[[], Any], timeout_s: float = _ANSWER_TIMEOUT_S) -> Any:
        """Return the answer to a call of the client; raises ClusterError if none comes in time."""
        promise = self.on_loop(question)
        try:
            return promise.result(timeout_s)
        except (Exception, CancelledError) as error:
            promise.cancel()
            why = str(error) or f"no answer within {timeout_s:g} s"
            msg = (
                f"could not ask the Dask scheduler at {self.address()}: {type(error).__name__}: {why}. "
                "Check that it runs and answers, then call again: it resumes"
            )
            raise ClusterError(msg) from error

    def for_each(
        self,
        task: Callable[[B], R],
        blocks: Iterable[B],
        sink: Callable[[B, R], None],
        *,
        key: Callable[[B], str] | None = None,
        label: Callable[[B], str] = str,
    ) -> None:
        """Run `task` on every block on the workers and `sink` here, in this thread; parameters as in `Engine`.

        Raises
        ------
        ClusterError
            The scheduler is gone, nothing was finished for `stall_timeout_s`, or a block failed or killed its
            workers too often. What has been sunk stays sunk.
        LastfmDaskError
            An error of this package that the task raised, with the block named.
        """
        from dask.base import tokenize

        ClusterRun(self, task, sink, key or partial(tokenize, task), label).over(iter(blocks))


def _why_no_facts(answer: object) -> str:
    if isinstance(answer, ModuleNotFoundError):
        return f"this package, or what it needs, is not installed there ({answer})"
    return f"gave no answer ({type(answer).__name__}: {answer})"


def _refuse(found: list[str]) -> None:
    if found:
        msg = "the Dask cluster can't do this work:\n" + "\n".join(f"  - {line}" for line in found)
        raise ClusterError(msg)


@contextmanager
def connected(address: str | None, scheduler_file: str | Path | None) -> Iterator[Client]:
    """Connect, quietly, and close within a bounded time, whatever state the cluster is in.

    Raises
    ------
    ClusterError
        If no scheduler accepts the connection.
    """
    where = address or f"the one that {scheduler_file} names"
    if address is None and not Path(str(scheduler_file)).is_file():
        msg = f"the scheduler file {scheduler_file} does not exist: start `dask scheduler --scheduler-file` first"
        raise ClusterError(msg, path=str(scheduler_file))
    with _quiet():
        try:
            client = _client(
                address or json.loads(Path(str(scheduler_file)).read_text(encoding="utf-8"))["address"]
            )
        except Exception as error:
            msg = (
                f"could not connect to the Dask scheduler at {where}: {type(error).__name__}: {error}. Check that it "
                "runs, that it can be reached from here, and that both sides agree on TLS (address tls:// and "
                "distributed.comm.tls in Dask's configuration)"
            )
            raise ClusterError(msg) from error
        try:
            yield client
        finally:
            with suppress(Exception):
                client.close(timeout=_CLOSE_TIMEOUT_S)  # type: ignore[no-untyped-call]


def _client(address: str) -> Client:
    with warnings.catch_warnings():
        # The preflight checks versions, the workers' too, in place of Dask's warning.
        warnings.simplefilter("ignore")
        from distributed import Client

        # A client whose first connection fails is cleaned up late and loudly: it is made where one has worked.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(asyncio.run, _try_to_connect(address)).result()
        return Client(address, set_as_default=False, name="lastfm_dask")  # type: ignore[no-untyped-call]


async def _try_to_connect(address: str) -> None:
    from distributed.comm.core import connect
    from distributed.security import Security

    comm = await connect(address, **Security().get_connection_args("client"))  # type: ignore[no-untyped-call]
    await comm.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log lines off stderr: our errors say what matters."""
    import distributed.client  # noqa: F401 - its import sets the levels that are set aside here

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

"""Which model answers, and the threads that compute: a new model replaces the old one between two questions."""

from __future__ import annotations

import asyncio
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from lastfm_dask.dataset.layout import MANIFEST
from lastfm_dask.errors import LastfmDaskError
from lastfm_dask.memory import allocator
from lastfm_dask.memory.blas import one_blas_thread
from lastfm_dask.recommender.answers import Recommender
from lastfm_dask.serve.metrics import Metrics
from lastfm_dask.serve.opened import Opened, shape_of
from lastfm_dask.serve.plan import plan_next

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lastfm_dask.serve.plan import ServingPlan

T = TypeVar("T")
Version = tuple[int, ...]
"""What tells one manifest file from another."""
WATCH_S = 2.0
_LOOK_S = 0.5
_TIDY_S = 2.0

log = logging.getLogger("lastfm_dask.serve")


class Service:
    """The model that answers, its threads, and what is counted.

    Parameters
    ----------
    path : Path
        The model directory, or a symbolic link to it that is turned to a new one.
    plan : ServingPlan
        How many threads, and what was projected.

    Raises
    ------
    StoreError
        The model can't be opened.
    BudgetError
        It needs more memory than the plan allows.
    """

    def __init__(self, path: Path, plan: ServingPlan) -> None:
        self.path = path
        self.metrics = Metrics(plan)
        self.opened, self._version = self._open()
        self._pool = ThreadPoolExecutor(plan.threads, thread_name_prefix="question")
        self._stack = ExitStack()
        # Held until the end: setting and restoring the number of BLAS threads costs more than many a question.
        self._stack.enter_context(one_blas_thread())
        self._reloading = asyncio.Lock()
        self._reload_waits = False
        self._tidying: asyncio.Task[None] | None = None

    async def ask(self, function: Callable[..., T], *values: Any) -> T:
        """Run a function of the opened model on a thread of the pool and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *values)

    async def reload(self) -> bool:
        """Open the model again and let it answer from now on; keep the old one if that fails.

        Returns
        -------
        bool
            Whether another model answers now.
        """
        if self._reload_waits:
            # The call that waits opens what lies there once its turn comes.
            return False
        self._reload_waits = True
        async with self._reloading:
            self._reload_waits = False
            version = self._version_on_disk()
            try:
                opened, version = await asyncio.to_thread(self._open)
            except Exception as error:
                # Whatever is wrong with the new model.
                self.metrics.reloads["failed"] += 1
                unforeseen = None if isinstance(error, LastfmDaskError | OSError) else error
                log.warning(
                    "the new model is not taken up, the old one goes on answering: %s",
                    error,
                    exc_info=unforeseen,
                )
                # Not tried again until it changes.
                self._version = version
                return False
            self.opened, self._version = opened, version
            del opened
            self.metrics.reloads["taken_up"] += 1
            log.warning(
                "took up %s, fingerprint %s", self.opened.name, self.opened.model.manifest.fingerprint
            )
            self._tidying = asyncio.create_task(self._tidy())
            return True

    async def _tidy(self) -> None:
        """Free the old model once its last questions are answered: it refers to itself, so reference counts do not."""
        await asyncio.sleep(_TIDY_S)
        await asyncio.to_thread(gc.collect)
        await asyncio.to_thread(allocator.trim)

    def is_outdated(self) -> bool:
        """Say whether another model than the one that answers lies at the path."""
        version = self._version_on_disk()
        return version is not None and version != self._version

    async def watch(self) -> None:
        """Take up a new model whenever the directory's manifest is another file; runs until it is cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self.is_outdated():
                await self.reload()

    async def measure(self) -> None:
        """Look at the memory now and then; runs until it is cancelled."""
        while True:
            self.metrics.look()
            await asyncio.sleep(_LOOK_S)

    def close(self) -> None:
        """Wait for the questions under way and end the threads."""
        self._pool.shutdown()
        self._stack.close()

    def _open(self) -> tuple[Opened, Version | None]:
        """Open the model that lies at the path, and once more where another took its place meanwhile.

        A link is followed once: else some files could be the old model's and others the new one's.
        """
        while True:
            version = self._version_on_disk()
            model = Recommender(self.path.resolve())
            plan = plan_next(self.metrics.plan, shape_of(model))
            opened = Opened(model)
            if version == self._version_on_disk():
                self.metrics.plan = plan
                return opened, version

    def _version_on_disk(self) -> Version | None:
        try:
            found = (self.path / MANIFEST).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

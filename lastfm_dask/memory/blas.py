"""BLAS held to one thread for small work: its own threads cost more than they bring, the more so on busy CPUs."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Hold:
    """How many blocks hold BLAS to one thread now: the first sets it, the last gives it back."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        # Finding the libraries takes milliseconds, so it is done once.
        self.controller = ThreadpoolController()
        self.lock = Lock()
        self.depth = 0
        self.limiter: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.depth == 0:
                self.limiter = self.controller.limit(limits=1, user_api="blas")
            self.depth += 1

    def leave(self) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self.limiter.restore_original_limits()


@cache
def _hold() -> _Hold:
    return _Hold()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the BLAS that NumPy loaded to one thread inside the block, which may run on many threads at once."""
    import numpy as np  # noqa: F401 - its library must be loaded before libraries are looked for

    hold = _hold()
    hold.enter()
    try:
        yield
    finally:
        hold.leave()

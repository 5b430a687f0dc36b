"""A bounded loop over blocks on threads of this process, for work that leaves the interpreter (NumPy, implicit).

Unlike a pool's `map` it holds no list of what is still to do, so that the number of blocks costs no memory.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

B = TypeVar("B")


def for_each(
    work: Callable[[B], None],
    blocks: Iterable[B],
    threads: int,
    on_done: Callable[[B], None] | None = None,
) -> None:
    """Run `work` on every block, on `threads` threads; the first error ends the loop and is raised.

    Parameters
    ----------
    work : callable
        Called once for each block, in no particular order.
    blocks : iterable
        SeenItems one at a time, when a thread is free.
    threads : int
        How many blocks are worked on at once.
    on_done : callable, optional
        Told of each block that is done, never by two threads at once.
    """
    lock = Lock()
    stream = iter(blocks)
    stopped = False

    def loop() -> None:
        nonlocal stopped
        try:
            while True:
                with lock:
                    block = next(stream, stream)
                    if stopped or block is stream:
                        return
                work(block)  # type: ignore[arg-type]
                if on_done is not None:
                    with lock:
                        on_done(block)  # type: ignore[arg-type]
        finally:
            stopped = True

    if threads == 1:
        loop()
        return
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(loop) for _ in range(threads)]:
            try:
                future.result()
            except BaseException:
                # An interrupt while waiting must end the others too, or the pool would wait for all blocks.
                stopped = True
                raise

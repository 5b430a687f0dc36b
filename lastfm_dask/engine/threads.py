"""The one bounded loop over blocks on threads of this process, for work that leaves the interpreter.

Unlike a pool's `map` it holds no list of what is still to do, so the number of blocks costs no memory: a block is
drawn when a thread is free, and a result is handed over before the next block is drawn.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

B = TypeVar("B")
R = TypeVar("R")


def completed(
    work: Callable[[B], R], blocks: Iterable[B], threads: int, *, in_order: bool = False
) -> Iterator[R]:
    """Yield what `work` returns for every block; the first error ends the loop and is raised.

    Parameters
    ----------
    work : callable
        Called once for each block, on `threads` threads; with one thread, on the caller's.
    blocks : iterable
        Drawn by the caller's thread, one at a time, when a thread is free.
    threads : int
        Blocks that are under way at once.
    in_order : bool
        Whether results come in the order of the blocks, and one more block than `threads` is under way; otherwise
        as they are done.
    """
    if threads == 1:
        yield from map(work, blocks)
        return
    stream, window = iter(blocks), threads + in_order
    under_way: list[Future[R]] = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                while len(under_way) < window and (block := next(stream, stream)) is not stream:
                    under_way.append(pool.submit(work, block))  # type: ignore[arg-type]
                if not under_way:
                    return
                future = under_way[0] if in_order else _first_done(under_way)
                under_way.remove(future)
                result = future.result()
                # A future keeps its result, which the caller may be about to let go.
                del future
                yield result
                del result
        finally:
            # After an error or an interrupt the pool waits for what runs, not for what has not begun.
            for future in under_way:
                future.cancel()


def for_each(
    work: Callable[[B], None],
    blocks: Iterable[B],
    threads: int,
    on_done: Callable[[B], None] | None = None,
) -> None:
    """Run `work` on every block, as `completed` does; `on_done` is called with each block that is done."""

    def worked(block: B) -> B:
        work(block)
        return block

    for block in completed(worked, blocks, threads):
        if on_done is not None:
            on_done(block)


def _first_done(futures: list[Future[R]]) -> Future[R]:
    return next(iter(wait(futures, return_when=FIRST_COMPLETED).done))

"""SIGTERM, SIGINT and SIGHUP end a command: they unwind it like any exception, so that everything open is closed.

An exception that a signal raises can get lost: Python drops it in a callback of the garbage collector, and a library
under import may replace it or go on. So a thread checks that the command is ending, and otherwise
sends the signal again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import Stopped

if TYPE_CHECKING:
    from types import FrameType

_LOOK_S = 0.2
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "its terminal was closed",
}


class _Stop:
    """What has arrived so far."""

    signal: signal.Signals | None = None


_stop = _Stop()


def listen() -> None:
    """Let SIGTERM, SIGINT and SIGHUP end the command; what is ignored, as under `nohup`, stays ignored."""
    signal.signal(signal.SIGTERM, _on_signal)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _on_signal)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_signal)
    sys.unraisablehook = _not_raised


def stopped() -> tuple[str, int] | None:
    """Return the message and exit code for the signal that has arrived; None without one."""
    found = _stop.signal
    if found is None:
        return None
    return f"{_WORDS[found]}; nothing was left half-written", _EXIT_CODES[found]


def unwound() -> None:
    """Note that the command has ended: no signal is sent again."""
    for number in _EXIT_CODES:
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, signal.SIG_IGN)


def _on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if _stop.signal is None:
        _stop.signal = signal.Signals(number)
        threading.Thread(target=_insist, args=(number,), daemon=True).start()
    raise Stopped


def _insist(number: int) -> None:
    """Send the signal again until the main thread handles it or cleans up after it."""
    main = threading.main_thread()
    while main.is_alive():
        time.sleep(_LOOK_S)
        # In an `except` or a `finally`, the exception being handled is known, and its cause.
        if signal.getsignal(number) is _on_signal and not _comes_from_stop(
            sys._current_exceptions().get(main.ident or 0)  # noqa: SLF001 - the only way to see another thread's
        ):
            os.kill(os.getpid(), number)


def _comes_from_stop(error: Any) -> bool:
    # Python 3.11 gives a triple, later ones the exception.
    error = error[1] if isinstance(error, tuple) else error
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Stopped):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _not_raised(unraisable: Any) -> None:
    """Suppress reports of a stop that could not be raised: the signal comes again."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)

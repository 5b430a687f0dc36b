"""Events for a log: a stage that ended, a warning, an error. They only go to Python's logger `lastfm_dask`.

The command decides where they are written; without that nothing is.
"""

from __future__ import annotations

import logging
from typing import Any

LOGGER = logging.getLogger("lastfm_dask")
LOGGER.addHandler(logging.NullHandler())
_LEVELS = {"stage": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def report(event: str, message: str, **fields: Any) -> None:
    """Log an event.

    Parameters
    ----------
    event : str
        `stage`, `warning` or `error`.
    message : str
        What happened, for people.
    **fields
        The same for programs: plain values.
    """
    LOGGER.log(_LEVELS[event], "%s", message, extra={"event": event, "fields": fields})

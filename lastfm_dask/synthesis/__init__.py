"""A synthetic listening log of any size, with the real one's shape and quirks: `write_log` makes it.

It contains no real listening data: users, rows and nearly all names are drawn at random. `names` invents
artists, `popularity` decides how many listeners each has, `log` draws the rows and writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastfm_dask.synthesis.log import LogSize, LogSummary, write_log

__all__ = ["LogSize", "LogSummary", "write_log"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from lastfm_dask.synthesis import log

        return getattr(log, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

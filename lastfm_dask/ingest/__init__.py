"""From a source to a published dataset: scan, index, assemble, summarize, publish.

The package bears the name of its one public function and can be called as that: `lastfm_dask.ingest(...)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that passes a call on to `pipeline.ingest`, which is imported then."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from lastfm_dask.ingest.pipeline import ingest

        return ingest(*args, **options)


sys.modules[__name__].__class__ = _Callable

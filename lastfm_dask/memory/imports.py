"""Keeps pandas out of processes that do not ask for it: 20 MiB and a sixth of a second each.

Arrow imports pandas, where it is installed, the first time that it is handed a Python or NumPy object: to be
ready in case that it was a Series. Dask's data frames bring pandas along, so it is installed everywhere.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


def keep_pandas_out() -> None:
    """Let Arrow look for pandas once, now, and find none; does nothing where pandas is imported already.

    A later import of pandas works, and what Arrow converts to and from pandas still works. Call it
    before other threads are started, and before memory in use counts as reserved.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


class _NoPandas(MetaPathFinder):
    """Hides pandas."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        """Refuse pandas, leave all else to the next finder."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)

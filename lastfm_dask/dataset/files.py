"""One file that is whole or not there: written under another name beside it, and renamed when all went well."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lastfm_dask.dataset.store import flush
from lastfm_dask.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def complete_or_absent(target: Path) -> Iterator[Path]:
    """Give a sibling file to write; it takes the target's name at the end, and goes where the block fails.

    Raises
    ------
    StoreError
        Where the folder does not exist.
    """
    if not target.absolute().parent.is_dir():
        msg = f"{target} can't be written: {target.absolute().parent} is no folder; choose one that exists"
        raise StoreError(msg, path=str(target))
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        yield part
        flush(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)

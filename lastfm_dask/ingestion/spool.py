"""Encoded blocks on the driver's disk, by number, in any order; they survive a killed run.

A block's file appears by rename, so it is complete or absent. The spool belongs to one key, a fingerprint of
source, settings and format, and is emptied if the key changes. Smaller blocks than asked for are reused, since the
result does not depend on their size.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any, Protocol

from lastfm_dask.interactions.encoding import encoded_schema

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa


_KEY = "key.json"


class Blocks(Protocol):
    """Encoded blocks by number."""

    def get(self, number: int) -> list[pa.RecordBatch]:
        """Return the encoded pieces of a block."""


class Spool:
    """The folder of encoded blocks.

    Parameters
    ----------
    folder : Path
        Where the blocks lie; it exists.
    key : dict
        Everything that the blocks depend on, as JSON, and `block_bytes`, the size asked for.

    Attributes
    ----------
    fingerprint : str
        Of the key.
    block_bytes : int
        The size of the blocks: the one asked for, or that of an earlier run's blocks.
    resumed : int
        Number of blocks that an earlier run left.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder = folder
        left = _left_key(folder)
        others = {**key, "block_bytes": None}
        if left and {**left, "block_bytes": None} == others and left["block_bytes"] <= key["block_bytes"]:
            key = left
        else:
            shutil.rmtree(folder)
            folder.mkdir()
            (folder / _KEY).write_text(json.dumps(key), encoding="utf-8")
        self.block_bytes: int = key["block_bytes"]
        self.fingerprint = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        self.resumed = sum(_is_whole(path) for path in sorted(folder.glob("*.arrow")))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.arrow"

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def put(self, number: int, pieces: Iterable[pa.RecordBatch]) -> None:
        """Keep the encoded pieces of a block, one at a time."""
        import pyarrow as pa

        path = self._path(number)
        part = path.with_suffix(".part")
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, encoded_schema()) as writer:
            for batch in pieces:
                writer.write_batch(batch)
        part.rename(path)

    def get(self, number: int) -> list[pa.RecordBatch]:
        """Return the encoded pieces of a block; their lists are mapped from disk, not loaded."""
        import pyarrow as pa

        with pa.memory_map(str(self._path(number))) as file:
            reader = pa.ipc.open_file(file)
            return [reader.get_batch(i) for i in range(reader.num_record_batches)]

    def written_bytes(self) -> int:
        """Return the bytes of the blocks on disk."""
        return sum(path.stat().st_size for path in self.folder.glob("*.arrow"))


def _left_key(folder: Path) -> dict[str, Any] | None:
    """Return the key of the blocks that an earlier run left; None if it is missing or incomplete."""
    try:
        key = json.loads((folder / _KEY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return key if isinstance(key, dict) and isinstance(key.get("block_bytes"), int) else None


def _is_whole(path: Path) -> bool:
    """Whether a block that an earlier run left can be read; a damaged one, as after a power cut, is removed."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            pa.ipc.open_file(file).get_batch(0)
    except (pa.ArrowInvalid, OSError):
        path.unlink()
        return False
    return True

"""Distinct names and their ids, in order of first appearance, with what was counted by name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def kept_on_disk(folder: Path, role: str) -> Callable[[pa.StringArray], pa.StringArray]:
    """Return a function that writes names to a file of their own in a folder and gives them back mapped."""
    import pyarrow as pa

    numbers = count()

    def keep(names: pa.StringArray) -> pa.StringArray:
        path = str(folder / f"{role}.{next(numbers):06d}.arrow")
        batch = pa.record_batch([names], names=[role])
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        with pa.memory_map(path) as file:
            return pa.ipc.open_file(file).get_batch(0).column(0)

    return keep


def string_bytes(names: pa.StringArray) -> int:
    """Return the bytes of names, without those of the places where they begin."""
    return max(0, int(names.nbytes) - 4 * (len(names) + 1))


@dataclass(frozen=True, slots=True)
class NamesHeld:
    """The numbers that determine the memory for merging a batch of pieces into the names of one role."""

    n: int
    """Known names."""
    n_bytes: int
    batch: int
    """Names of the batch's pieces, each counted in every piece that has it."""
    distinct: int
    """Distinct names of the batch, at most."""
    distinct_bytes: int


def merge_bytes(names: NamesHeld) -> int:
    """Return the bytes that `Names.merge` takes: the batch's own dictionary, then a hash table of all known names."""
    building = _names_table_bytes(names.distinct, names.distinct_bytes, copied=True)
    looking = _names_table_bytes(names.n, names.n_bytes) + names.distinct_bytes + 12 * names.distinct
    grown = 8 * (names.n + names.distinct) + 16 * names.distinct
    return max(building, looking) + 16 * names.batch + grown


def hash_table_bytes(n: int) -> int:
    """Return the bytes of Arrow's hash table for `n` names: 16 a slot, a power of two, at most half full."""
    return 16 * (1 << max(5, (2 * max(n, 1) - 1).bit_length()))


def _names_table_bytes(n: int, n_bytes: int, *, copied: bool = False) -> int:
    """Return the bytes of Arrow's hash table of names, and of its buffer of their letters.

    Both double when they are full, one at a time; the old and the new exist together meanwhile. The finished dictionary
    is one more copy of the letters.
    """
    table, letters = hash_table_bytes(n), 1 << max(6, (n_bytes - 1).bit_length())
    beside = max(table, letters) // 2
    return table + letters + max(beside, n_bytes if copied else 0) + 12 * n


class Names:
    """The distinct names of one role with their rows and plays, in order of first appearance.

    Parameters
    ----------
    keep : callable, optional
        Gets an array of new names and returns what is held of it (`kept_on_disk`); in memory unless given.
    is_real : bool
        Whether plays are real values.

    Attributes
    ----------
    rows : ndarray, shape (n,), int64
        Rows of each name.
    plays : ndarray, shape (n,), int64, or float64 where they are real
        Summed plays of each name.
    """

    def __init__(
        self, keep: Callable[[pa.StringArray], pa.StringArray] | None = None, *, is_real: bool = False
    ) -> None:
        import numpy as np

        self._keep = keep or (lambda names: names)
        self._chunks: list[pa.StringArray] = []
        self._n = self.n_bytes = 0
        self._merged = NamesHeld(0, 0, 0, 0, 0)
        self.rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.plays: npt.NDArray[Any] = np.zeros(0, np.float64 if is_real else np.int64)

    def __len__(self) -> int:
        return self._n

    @property
    def array(self) -> pa.ChunkedArray:
        """The names, name i having id i."""
        import pyarrow as pa

        return pa.chunked_array(self._chunks, pa.string())

    def pick(self, ids: Iterable[int]) -> list[str]:
        """Return the names with these ids, in their order; `take` would bring all names into memory."""
        import numpy as np

        ends = np.cumsum([len(chunk) for chunk in self._chunks])
        found = []
        for i in ids:
            chunk = int(np.searchsorted(ends, i, side="right"))
            names = self._chunks[chunk]
            found.append(names[int(i) - int(ends[chunk]) + len(names)].as_py())
        return found

    def held_with(self, dictionaries: Sequence[pa.StringArray]) -> NamesHeld:
        """Return the bytes held while these are merged if no name occurs in two of them."""
        batch, batch_bytes = sum(map(len, dictionaries)), sum(map(string_bytes, dictionaries))
        return NamesHeld(self._n, self.n_bytes, batch, batch, batch_bytes)

    @property
    def merged(self) -> NamesHeld:
        """The bytes held by the last merge, from the true number of distinct names."""
        return self._merged

    def replace(self, names: pa.StringArray) -> None:
        """Show other names for the same ids."""
        self._chunks = [self._keep(names)]

    def find(self, name: str) -> int | None:
        """Return a name's id, or None."""
        import pyarrow.compute as pc

        found = pc.index(self.array, name).as_py()
        return None if found < 0 else int(found)

    def merge(self, dictionaries: Sequence[pa.StringArray]) -> list[npt.NDArray[np.int32]]:
        """Give ids to all names in these arrays, taken in order; return the ids of each array's names."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        encoded = pa.chunked_array(dictionaries, pa.string()).dictionary_encode()
        distinct = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
        self._merged = NamesHeld(self._n, self.n_bytes, len(encoded), len(distinct), string_bytes(distinct))
        found = pc.index_in(distinct, value_set=self.array)
        unknown = found.is_null()
        ids = found.fill_null(0).to_numpy().copy()
        is_new = unknown.to_numpy(zero_copy_only=False)
        n_new = int(np.count_nonzero(is_new))
        ids[is_new] = np.arange(self._n, self._n + n_new, dtype=np.int32)
        if n_new:
            new = distinct if n_new == len(distinct) else distinct.filter(unknown)
            self._chunks.append(self._keep(new))
            self.n_bytes += string_bytes(new)
            self._n += n_new
            self.rows = np.concatenate([self.rows, np.zeros(n_new, np.int64)])
            self.plays = np.concatenate([self.plays, np.zeros(n_new, self.plays.dtype)])
        # Arrow leaves out arrays without names, such as those of a block whose rows were all rejected.
        chunks = (chunk for chunk in encoded.chunks if len(chunk))
        return [ids[next(chunks).indices.to_numpy()] if len(names) else ids[:0] for names in dictionaries]

    def count_rows(self, ids: npt.NDArray[np.int32], rows: npt.NDArray[Any]) -> None:
        """Add rows of names; an id may stand more than once."""
        import numpy as np

        # `add.at` is twenty times as fast if both arrays have the same type.
        np.add.at(self.rows, ids, rows.astype(np.int64, copy=False))

    def count_plays(self, ids: npt.NDArray[np.int32], plays: npt.NDArray[Any]) -> None:
        """Add plays of names, one after the other; an id may stand more than once."""
        import numpy as np

        np.add.at(self.plays, ids, plays.astype(self.plays.dtype, copy=False))

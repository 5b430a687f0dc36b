"""Names and their dense indices: users are rows, artists are columns, in order of first appearance."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.name_pieces import name_pieces
from lastfm_dask.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.dataset.name_index import NameIndex
    from lastfm_dask.dataset.nearness import FoldedNames

_FEW = 4
"""Up to this many names are looked up one by one."""
_AT_ONCE = 1 << 14
"""Names that become Python's texts at once."""
_BYTES_AT_ONCE = 1 << 20
"""Bytes of such names, beside the first one."""
_SCANS = 8
"""After this many lookups that scan all names, an index pays off."""


class Vocabulary:
    """The names of one role, read from a Parquet column when first asked for.

    Parameters
    ----------
    path : Path
        `users.parquet` or `artists.parquet`; row i is the name with index i.
    column : str
        `user` or `artist`.
    n : int, optional
        How many names there must be.

    Raises
    ------
    StoreError
        When it is read and is not what it should be.
    """

    def __init__(self, path: Path, column: str, n: int | None = None) -> None:
        self.path = path
        self._n = n
        self.column = column
        self._n_searches = self._n_near = 0

    @classmethod
    def of(cls, names: Any, column: str) -> Vocabulary:
        """Return the vocabulary of names that are in memory: an Arrow array or chunked array of strings."""
        vocabulary = cls(Path(), column)
        vocabulary.__dict__["_names"] = names
        return vocabulary

    @cached_property
    def _names(self) -> Any:
        import pyarrow as pa

        from lastfm_dask.dataset.opening import damaged, reading

        names = self._read(self.column)
        with reading(self.path):
            names = names.cast(pa.string())
            # A name that is not UTF-8 would be found when it is shown, or never.
            names.validate(full=True)
            if names.null_count:
                raise damaged(self.path, f"{names.null_count} names are missing")
        return names

    def _read(self, column: str) -> Any:
        # Not `read_table`: that imports all of Arrow's datasets and file systems.
        from pyarrow.parquet import ParquetFile

        from lastfm_dask.dataset.opening import damaged, reading
        from lastfm_dask.memory.imports import keep_pandas_out

        keep_pandas_out()
        with reading(self.path):
            with ParquetFile(self.path, memory_map=True) as file:
                n_rows = file.metadata.num_rows
                if self._n is not None and n_rows != self._n:
                    raise damaged(self.path, f"it has {n_rows} rows, not {self._n}")
                found = file.read(columns=[column]).column(0).combine_chunks()
            if self._n is not None and len(found) != self._n:
                raise damaged(self.path, f"it has {len(found)} rows, not {self._n}")
            return found

    @cached_property
    def _index(self) -> NameIndex:
        from lastfm_dask.dataset.name_index import NameIndex

        return NameIndex(self.array)

    @cached_property
    def _folded(self) -> FoldedNames:
        from lastfm_dask.dataset.nearness import FoldedNames

        return FoldedNames(self.array)

    def prepare(self) -> None:
        """Build the indices now that searches build when they are worth their while: threads then only read."""
        self._n_searches = _SCANS
        _ = self._index, self._folded

    @property
    def array(self) -> pa.StringArray:
        """All names, by index, as one Arrow array."""
        names = self._names
        return names.combine_chunks() if hasattr(names, "combine_chunks") else names

    @property
    def plain_bytes(self) -> int:
        """How many bytes the names take when they are read, as the file says."""
        from pyarrow.parquet import read_metadata

        from lastfm_dask.dataset.opening import reading

        with reading(self.path):
            metadata = read_metadata(self.path)
            column = metadata.schema.names.index(self.column)
            groups = (metadata.row_group(i).column(column) for i in range(metadata.num_row_groups))
            return int(sum(group.total_uncompressed_size for group in groups) + 4 * metadata.num_rows)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> str:
        """Return the name with this index; negative ones count from the end. Raises IndexError beyond."""
        if not -len(self) <= index < len(self):
            msg = f"index {index} of {len(self)} {self.column}s"
            raise IndexError(msg)
        return self.name(index % len(self))

    def __iter__(self) -> Iterator[str]:
        """Yield all names in the order of their indices, some thousand read at a time."""
        for piece in name_pieces(self._names, _AT_ONCE, _BYTES_AT_ONCE):
            yield from piece.to_pylist()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __repr__(self) -> str:
        shown = ", ".join(repr(name) for name in self.names(range(min(3, len(self)))))
        return f"<{len(self):,} {self.column}s: {shown}{', …' if len(self) > 3 else ''}>"

    def numbers(self, column: str) -> npt.NDArray[Any]:
        """Return another column of the file, such as `listeners`: one number by index, read again at each call."""
        from lastfm_dask.dataset.opening import damaged

        found = self._read(column)
        values: npt.NDArray[Any] = found.to_numpy(zero_copy_only=False)
        if found.null_count or values.dtype.kind not in "iuf":
            raise damaged(self.path, f"{column} are not numbers")
        return values

    def find(self, name: str) -> int | None:
        """Return the index of an exact name, or None."""
        return self.find_all([name])[0]

    def find_all(self, names: Sequence[str]) -> list[int | None]:
        """Return the index of each exact name, None for those that are not known."""
        # A name that is not Unicode (a lone surrogate: bytes of a command line) can't be known.
        asked = [name for name in dict.fromkeys(names) if _is_unicode(name)]
        self._n_searches += 1
        if self._n_searches > _SCANS:
            found = self._look_up(asked)
        elif len(asked) <= _FEW:
            found = self._scan_for_few(asked)
        else:
            found = self._scan(asked)
        return [found.get(name) for name in names]

    def _scan_for_few(self, asked: list[str]) -> dict[str, int]:
        """Look for names one by one: a scan that stops at a match is cheaper than one that hashes all."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = ((name, pc.index(self._names, pa.scalar(name, pa.string())).as_py()) for name in asked)
        return {name: index for name, index in found if index >= 0}

    def _scan(self, asked: list[str]) -> dict[str, int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        found: dict[str, int] = {}
        places = pc.index_in(self._names, value_set=pa.array(asked, pa.string()))
        known = places.is_valid().to_numpy(zero_copy_only=False).nonzero()[0]
        for index, place in zip(known.tolist(), places.take(pa.array(known)).to_pylist(), strict=True):
            found.setdefault(asked[place], index)
        return found

    def _look_up(self, asked: list[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in asked:
            for index in self._index.candidates(name).tolist():
                if self._names[index].as_py() == name:
                    found[name] = index
                    break
        return found

    def index(self, name: str) -> int:
        """Return the index of an exact name; raises UnknownNameError that carries near names."""
        found = self.find(name)
        if found is None:
            near = self.near(name)
            msg = f"no {self.column} is called {name!r}{did_you_mean(near)}"
            raise UnknownNameError(msg, name=name, near=near)
        return found

    def name(self, index: int) -> str:
        """Return the name with this index."""
        return self._names[int(index)].as_py()  # type: ignore[no-any-return]

    def names(self, indices: Iterable[int] | npt.NDArray[np.integer]) -> list[str]:
        """Return the names with these indices, in their order."""
        import pyarrow as pa

        return self._names.take(pa.array(indices, pa.int64())).to_pylist()  # type: ignore[no-any-return]

    def near(self, name: str, n: int = 3) -> tuple[str, ...]:
        """Return up to `n` names that someone who typed this one may have meant, the nearest first.

        Case, accents and a leading "the " do not count; what is too far is left out.
        """
        return tuple(self.names(self.near_indices(name, n)))

    def near_indices(self, name: str, n: int, least: float | None = None) -> list[int]:
        """Return the indices of the names that `near` gives, those at least as similar as `least` where that is given."""
        from lastfm_dask.dataset.nearness import nearest_of

        if not _is_unicode(name):
            return []
        self._n_near += 1
        if self._n_near <= _SCANS and "_folded" not in self.__dict__:
            return nearest_of(self.array, name, n, least)
        return self._folded.nearest(name, n, least)


def did_you_mean(near: Sequence[str]) -> str:
    """Return the end of a message that shows near names; empty if there are none."""
    return f": did you mean {', '.join(repr(name) for name in near)}?" if near else ""


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

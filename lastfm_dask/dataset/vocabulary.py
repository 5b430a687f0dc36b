"""Names and their dense indices: users are rows, artists are columns, in order of first appearance."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


class Vocabulary:
    """The names of one role, read from a Parquet column when first asked for.

    Parameters
    ----------
    path : Path
        `users.parquet` or `artists.parquet`; row i is the name with index i.
    column : str
        `user` or `artist`.
    """

    def __init__(self, path: Path, column: str) -> None:
        self.path = path
        self.column = column

    @cached_property
    def _names(self) -> Any:
        import pyarrow.parquet as pq

        return pq.read_table(self.path, columns=[self.column]).column(0).combine_chunks()

    def __len__(self) -> int:
        return len(self._names)

    def find(self, name: str) -> int | None:
        """Return the index of an exact name, or None."""
        import pyarrow.compute as pc

        found = pc.index(self._names, name).as_py()
        return None if found < 0 else found

    def index(self, name: str) -> int:
        """Return the index of an exact name; raises UnknownNameError that carries near names."""
        found = self.find(name)
        if found is None:
            near = self.near(name)
            hint = f": did you mean {', '.join(repr(n) for n in near)}?" if near else ""
            msg = f"no {self.column} is called {name!r}{hint}"
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
        """Return up to `n` names that someone who typed this one may have meant, the nearest first."""
        return ()

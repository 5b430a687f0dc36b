"""The result of every reader: the kept rows of a block as columns, and the rejected rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastfm_dask.interactions.schema import PLAYS, REASONS, TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.interactions.values import Parsed, Times


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a block, or of a piece of one: kept rows as columns, rejected rows with their reasons.

    Attributes
    ----------
    user : DictionaryArray of string, int32 indices
        The user of each row kept; the dictionary holds no name twice and is in order of first appearance. In a
        piece that has yet to be joined with others it may be a StringArray.
    artist : StringArray, or DictionaryArray like the user
        The artist of each row kept, as written in the source.
    plays : ndarray of int32, or of float32 where the schema's values are real
        The plays of each row kept; 1 for an event.
    mbid : StringArray, DictionaryArray, or None
        The MBID of each row kept, where the schema asks for it.
    time : ndarray of int64 or None
        Milliseconds since 1970 of each row kept, where the schema has a column for it.
    n_lines : int
        Lines in the block, including a header.
    reject_lines : ndarray of int64
        The line of each rejected row within the block, from 0.
    reject_reasons : ndarray of int8
        Indices into `REASONS`.
    reject_bytes : BinaryArray
        Each rejected row's bytes up to the line end, at most 1 KiB.
    """

    user: pa.DictionaryArray
    artist: pa.StringArray
    plays: npt.NDArray[Any]
    mbid: pa.StringArray | None
    time: npt.NDArray[np.int64] | None
    n_lines: int
    reject_lines: npt.NDArray[np.int64]
    reject_reasons: npt.NDArray[np.int8]
    reject_bytes: pa.BinaryArray


def joined(pieces: Sequence[Rows]) -> Rows:
    """Return the rows of pieces that follow each other in a block."""
    import numpy as np
    import pyarrow as pa

    def names(columns: list[Any]) -> Any:
        if columns[0] is None:
            return None
        if pa.types.is_dictionary(columns[0].type):
            return pa.chunked_array(columns).unify_dictionaries().combine_chunks()
        return pa.concat_arrays(columns)

    if len(pieces) == 1:
        return pieces[0]
    n_before = np.cumsum([0, *(piece.n_lines for piece in pieces)])
    times = [piece.time for piece in pieces if piece.time is not None]
    return Rows(
        user=names([piece.user for piece in pieces]),
        artist=names([piece.artist for piece in pieces]),
        plays=np.concatenate([piece.plays for piece in pieces]),
        mbid=names([piece.mbid for piece in pieces]),
        time=np.concatenate(times) if times else None,
        n_lines=int(n_before[-1]),
        reject_lines=np.concatenate(
            [piece.reject_lines + before for piece, before in zip(pieces, n_before[:-1], strict=True)]
        ),
        reject_reasons=np.concatenate([piece.reject_reasons for piece in pieces]),
        reject_bytes=pa.concat_arrays([piece.reject_bytes for piece in pieces]),
    )


class Reasons:
    """The reason for which each row is rejected; a row keeps the first one found.

    Attributes
    ----------
    of : ndarray, shape (n_rows,), int8
        Indices into `REASONS`; -1 for a row that is kept.
    """

    def __init__(self, n_rows: int) -> None:
        import numpy as np

        self.of = np.full(n_rows, -1, np.int8)

    def reject(self, rows: npt.NDArray[np.bool_], reason: str) -> None:
        """Reject the rows of a mask that are not rejected yet."""
        if rows.any():
            self.of[rows & (self.of < 0)] = REASONS.index(reason)

    def rejected(self) -> npt.NDArray[np.intp]:
        """Return the rejected rows, in order."""
        import numpy as np

        return np.flatnonzero(self.of >= 0)

    def numbers(
        self,
        columns: Mapping[str, Any],
        schema: Schema,
        parse_plays: Callable[[Any, str], Parsed],
        parse_times: Callable[[Any], Times],
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64] | None]:
        """Return the plays and times of all rows; reject the rows whose numbers are wrong.

        Parameters
        ----------
        columns : mapping
            Arrow arrays by role.
        schema : Schema
            Says whether there are plays and times; a row of events counts as one play.
        parse_plays, parse_times : callable
            Parse these columns as `values.parse_plays` and `values.parse_times` do.
        """
        import numpy as np

        plays: npt.NDArray[Any] = np.ones(len(self.of), np.int32)
        if not schema.events:
            plays, is_number, in_range = parse_plays(columns[PLAYS], schema.values)
            self.reject(~is_number, "plays_not_a_number")
            self.reject(~in_range, "plays_out_of_range")
        if not schema.with_time:
            return plays, None
        times, is_time = parse_times(columns[TIME])
        self.reject(~is_time, "invalid_time")
        return plays, times

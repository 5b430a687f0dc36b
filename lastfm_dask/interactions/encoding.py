"""Encode a block: local codes instead of names, each name once, and counts by name. Each block is one pure Dask task.

An encoded block is an Arrow record batch of one row, whose cells are lists. It is sent between processes and
stored on disk as one buffer a list, and read back without a copy.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.names import lower_all
from lastfm_dask.interactions.reading import pieces_of, read_block, read_rows
from lastfm_dask.sources.files import open_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lastfm_dask.interactions.blocks import Block
    from lastfm_dask.interactions.rows import Rows
    from lastfm_dask.interactions.schema import Schema

FORMAT_VERSION = 2
"""Version of the lists below; a spool of another version is not resumed."""

PIECE_LINES = 1 << 18
"""How many lines are encoded at once if memory allows."""
MIN_PIECE_LINES = 1 << 13
ROWS_A_LINE = 4
"""How many rows of a columnar source take as much memory as a line of text."""

LISTS = {
    "users": "string",
    "user_rows": "int32",
    "user_plays": "int64",
    "artists": "string",
    "artist_rows": "int32",
    "artist_plays": "int64",
    "user_codes": "int32",
    "artist_codes": "int32",
    "plays": "int32",
    "times": "int64",
    "mbids": "string",
    "mbid_artists": "int32",
    "mbid_codes": "int32",
    "mbid_rows": "int32",
    "reject_lines": "int64",
    "reject_reasons": "int8",
    "reject_bytes": "binary",
    "counts": "int64",
}
"""Name and Arrow type of each list.

users, artists : the block's distinct names, users in order of first appearance and artists in lower case (two
    spellings of one artist may then stand twice).
user_rows, user_plays, artist_rows, artist_plays : rows and summed plays of each. Sums of real values depend on their
    order, so they are left to the index stage, which adds row by row.
user_codes, artist_codes, plays : one entry a row kept, in file order; codes index users and artists. user_codes
    is empty if users come in runs, one run each in order: then it is each code repeated by user_rows. Real values
    are float32, kept by their bits: positive ones are in the same order as these integers.
times : milliseconds since 1970, one entry a row kept; empty if the source has no times.
mbids, mbid_artists, mbid_codes, mbid_rows : the distinct MBIDs, and how many rows each pair of artist and MBID has.
reject_* : see `reader.Rows`.
counts : which file of the source, lines in the block, and rows kept that were played once.
"""


@dataclass(frozen=True, slots=True)
class EncodeBlock:
    """The task that reads and encodes one block; it needs only the source and can be sent to any process.

    Parameters
    ----------
    paths : tuple of str
        The source's files, by their number.
    schema : Schema
        What their fields are.
    piece_lines : int
        Larger blocks are encoded in pieces of this many lines: lines take memory, however short they are.
    """

    paths: tuple[str, ...]
    schema: Schema
    piece_lines: int = PIECE_LINES

    def __call__(self, block: Block) -> list[pa.RecordBatch]:
        """Return the encoded pieces of a block; raises BadInputError if its file can't be read any more."""
        return list(self.pieces(block))

    def pieces(self, block: Block) -> Iterator[pa.RecordBatch]:
        """Encode a block piece by piece, so that one is held at a time; raises as `__call__` does."""
        path = self.paths[block.file]
        if self.schema.is_columnar:
            from lastfm_dask.interactions.columnar_reader import read_columns

            n_rows = self.piece_lines * ROWS_A_LINE
            for start in range(block.start, block.end, n_rows):
                rows = read_columns(path, start, min(start + n_rows, block.end), self.schema)
                yield encode(rows, self.schema, file=block.file)
            return
        lines: bytes | bytearray
        if block.lines is not None:
            lines = block.lines
        else:
            try:
                with open_ranges(path) as read:
                    lines = read_block(read, block, self.schema)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise
                msg = f"{path}: bytes {block.start} to {block.end} (block {block.number}) can't be read: {error}"
                raise BadInputError(msg, path=path) from error
        file_start = block.start == 0
        for piece in pieces_of(lines, self.schema, self.piece_lines):
            rows = read_rows(piece, self.schema, file_start=file_start)
            yield encode(rows, self.schema, file=block.file)
            file_start = False


def encode(rows: Rows, schema: Schema, *, file: int) -> pa.RecordBatch:
    """Return a block's rows encoded; see `LISTS`."""
    import numpy as np

    is_real = rows.plays.dtype == np.float32
    user_codes, users = rows.user.indices.to_numpy(), rows.user.dictionary
    artist = rows.artist.dictionary_encode()
    artist_codes = artist.indices.to_numpy()
    in_runs = bool((np.diff(user_codes) >= 0).all())
    lists: dict[str, Any] = {
        "users": users,
        "user_rows": np.bincount(user_codes, minlength=len(users)),
        "user_plays": [] if is_real else _sums(user_codes, rows.plays, len(users)),
        "artists": artist.dictionary if schema.keep_case else lower_all(artist.dictionary),
        "artist_rows": np.bincount(artist_codes, minlength=len(artist.dictionary)),
        "artist_plays": [] if is_real else _sums(artist_codes, rows.plays, len(artist.dictionary)),
        "user_codes": user_codes[:0] if in_runs else user_codes,
        "artist_codes": artist_codes,
        "plays": rows.plays.view(np.int32),
        "times": () if rows.time is None else rows.time,
        "reject_lines": rows.reject_lines,
        "reject_reasons": rows.reject_reasons,
        "reject_bytes": rows.reject_bytes,
        "counts": np.array([file, rows.n_lines, np.count_nonzero(rows.plays == 1)]),
    }
    if rows.mbid is not None:
        lists |= _mbid_lists(artist_codes, rows.mbid)
    return record_batch(lists)


def encoded_schema() -> pa.Schema:
    """Return the Arrow schema of an encoded block."""
    import pyarrow as pa

    return pa.schema([(name, pa.list_(pa.type_for_alias(type_name))) for name, type_name in LISTS.items()])


def record_batch(lists: dict[str, Any]) -> pa.RecordBatch:
    """Return the record batch of one row with these lists; a missing list is empty."""
    import numpy as np
    import pyarrow as pa

    cells = []
    for name, type_name in LISTS.items():
        values = pa.array(lists.get(name, ()), type=pa.type_for_alias(type_name))
        offsets = pa.array(np.array([0, len(values)], np.int32))
        cells.append(pa.ListArray.from_arrays(offsets, values))
    return pa.RecordBatch.from_arrays(cells, names=list(LISTS))


def column(batch: pa.RecordBatch, name: str) -> Any:
    """Return a list of an encoded block: an Arrow array for names and bytes, else an ndarray; no copy."""
    values = batch.column(name).values
    return values if LISTS[name] in ("string", "binary") else values.to_numpy()


def row_codes(batch: pa.RecordBatch, role: str) -> npt.NDArray[np.int32]:
    """Return the local code of each row's user or artist."""
    import numpy as np

    codes: npt.NDArray[np.int32] = column(batch, f"{role}_codes")
    if role == "user" and not len(codes):
        rows = column(batch, "user_rows")
        codes = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    return codes


def real_plays(batch: pa.RecordBatch) -> npt.NDArray[np.float32]:
    """Return the plays of each row, if they are floats."""
    import numpy as np

    plays: npt.NDArray[np.float32] = column(batch, "plays").view(np.float32)
    return plays


def _sums(codes: npt.NDArray[np.int32], plays: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
    """Return the plays summed by code, exactly: `bincount` sums in float64, which is exact below 2^53."""
    import numpy as np

    if int(plays.max(initial=0)) * len(plays) < 1 << 53:
        return np.bincount(codes, weights=plays, minlength=n).astype(np.int64)
    high, low = (np.bincount(codes, weights=half, minlength=n) for half in (plays >> 16, plays & 0xFFFF))
    return (high.astype(np.int64) << 16) + low.astype(np.int64)


def _mbid_lists(artist_codes: npt.NDArray[np.int32], mbid: pa.StringArray) -> dict[str, Any]:
    import numpy as np

    encoded = mbid.dictionary_encode()
    pairs = artist_codes.astype(np.int64) * len(encoded.dictionary) + encoded.indices.to_numpy()
    distinct, rows = np.unique(pairs, return_counts=True)
    artists, codes = np.divmod(distinct, max(len(encoded.dictionary), 1))
    return {"mbids": encoded.dictionary, "mbid_artists": artists, "mbid_codes": codes, "mbid_rows": rows}

"""A survey of a source before the work: read some pieces of it, and estimate the whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import sqrt
from typing import TYPE_CHECKING

from lastfm_dask.ingestion.source_shape import SourceShape, extrapolate
from lastfm_dask.interactions.blocks import ROW_BYTES
from lastfm_dask.interactions.decoding import decode
from lastfm_dask.interactions.reading import pieces_of, read_rows, sample_lines, whole_lines
from lastfm_dask.interactions.schema import ARTIST, MBID, USER, UTF8
from lastfm_dask.sources.files import open_packed, open_ranges, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from lastfm_dask.interactions.rows import Rows
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile

_PIECES = 64
_PIECE_BYTES = 128 << 10
_PIECE_LINES = 1 << 12
"""Lines of a piece that are parsed: short lines take many times their bytes."""
_SAMPLE_ROWS = 1 << 17
"""Of a columnar source."""
_COME_AGAIN = 1.01
"""If a user has at most this many runs of rows on average, the user's rows are treated as one run."""
_THINNED = (64, 8, 1)


@dataclass(slots=True)
class _Sample:
    """Totals over the pieces that were read."""

    n_bytes: int = 0
    utf8_bytes: int = 0
    """The same as UTF-8, for a source in another encoding."""
    n_lines: int = 0
    n_rows: int = 0
    n_users: int = 0
    """Distinct users, added up over the pieces."""
    n_runs: int = 0
    """Runs of rows of one user, added up as well."""
    user_bytes: int = 0
    user_rows: Counter[str] = field(default_factory=Counter)
    artists: list[pa.StringArray] = field(default_factory=list)
    mbids: list[pa.StringArray] = field(default_factory=list)
    packed_bytes: int = 0
    """Of compressed files: how many bytes were read, and the bytes that they unpack to."""
    unpacked_bytes: int = 0

    def add(self, lines: bytes | bytearray, schema: Schema, *, at_start: bool) -> None:
        """Count the first lines of a piece."""
        first = next(iter(pieces_of(lines, schema, _PIECE_LINES)))
        if schema.encoding != UTF8:
            self.utf8_bytes += len(decode(first, schema.encoding))
        self.add_rows(read_rows(first, schema, file_start=at_start), len(first))

    def add_rows(self, rows: Rows, n_bytes: int) -> None:
        """Count rows and the bytes of the source that they take."""
        import numpy as np

        self.n_bytes += n_bytes
        self.n_lines += rows.n_lines
        self.n_rows += len(rows.plays)
        codes, users = rows.user.indices.to_numpy(), rows.user.dictionary.to_pylist()
        self.n_users += len(users)
        self.n_runs += int(np.count_nonzero(np.diff(codes))) + bool(len(codes))
        self.user_bytes += sum(len(user.encode()) for user in users)
        self.user_rows.update(
            dict(zip(users, np.bincount(codes, minlength=len(users)).tolist(), strict=True))
        )
        self.artists.append(rows.artist.cast(rows.user.dictionary.type))
        if rows.mbid is not None:
            self.mbids.append(rows.mbid.cast(rows.user.dictionary.type))

    def whole_users(self, scale: float) -> float:
        """Estimate the users of a source that is `scale` times as large."""
        by_piece = self.n_users * scale
        if self.n_runs <= _COME_AGAIN * len(self.user_rows):
            return by_piece
        # Charikar et al. 2000, "Towards estimation error guarantees for distinct
        # values": names seen once stand for the root of the scale, others for themselves.
        n_once = sum(rows == 1 for rows in self.user_rows.values())
        return min(by_piece, sqrt(max(scale, 1.0)) * n_once + len(self.user_rows) - n_once)


def survey(files: Sequence[SourceFile], schema: Schema) -> SourceShape:
    """Estimate what a source holds from pieces of its files, about 8 MiB in all.

    Raises
    ------
    BadInputError
        If a sampled compressed file is damaged, or an archive lacks the log.
    """
    sample = _Sample()
    if schema.is_columnar:
        return _bounded(_shape(sample, _look_at_groups(files, schema, sample), schema), files, schema)
    places = _places([file.size_bytes for file in files])
    n_packed = sum(bool(files[number].compression) for number in places)
    for number, offsets in places.items():
        if files[number].compression:
            _look_into(files[number], schema, sample, _PIECES * _PIECE_BYTES // n_packed)
        else:
            _look_at(files[number], offsets, schema, sample)
    plain_bytes = sum(file.size_bytes for file in files if not file.compression)
    packed_bytes = sum(file.size_bytes for file in files if file.compression)
    source_bytes = plain_bytes + round(packed_bytes * sample.unpacked_bytes / max(sample.packed_bytes, 1))
    return _shape(sample, source_bytes, schema)


def _shape(sample: _Sample, source_bytes: int, schema: Schema) -> SourceShape:
    scale = source_bytes / max(sample.n_bytes, 1)
    curve, artist_bytes, most_rows = _distinct(sample.artists)
    n_rows = round(sample.n_rows * max(1.0, scale))
    n_mbids = extrapolate(_distinct(sample.mbids)[0], n_rows) if schema.with_mbid else 0
    return SourceShape(
        source_bytes=source_bytes,
        n_rows=max(1, round(sample.n_lines * scale)),
        n_users=max(1, round(sample.whole_users(scale))),
        n_artists=max(1, extrapolate(curve, n_rows)),
        user_bytes=-(-sample.user_bytes // max(sample.n_users, 1)),
        artist_bytes=artist_bytes,
        with_mbid=schema.with_mbid,
        with_time=schema.with_time,
        is_real=schema.is_real,
        utf8_percent=-(-100 * sample.utf8_bytes // max(sample.n_bytes, 1)),
        by_records=bool(schema.quote),
        longest=round(max(sample.user_rows.values(), default=0) * max(1.0, scale)),
        most_listeners=round(most_rows * max(1.0, scale)),
        n_mbids=n_mbids,
        artist_curve=tuple(curve),
        columnar=schema.is_columnar,
        longest_artist_bytes=_longest(sample.artists),
    )


def _bounded(shape: SourceShape, files: Sequence[SourceFile], schema: Schema) -> SourceShape:
    """Return a shape that keeps to what files state: no more users and artists than integers, and the bytes of texts."""
    from lastfm_dask.interactions.row_groups import most_distinct

    columns = dict(zip(schema.columns, schema.fields, strict=True))
    users, artists = (most_distinct(files, schema.kind, columns[role]) for role in (USER, ARTIST))
    seen_bytes = 5 * (shape.user_bytes + shape.artist_bytes) // 4
    return replace(
        shape,
        unseen_bytes=max([0, *(texts - seen_bytes * rows for _, _, rows, texts in _groups(files, schema))]),
        n_users=min(shape.n_users, users or shape.n_users),
        n_artists=min(shape.n_artists, artists or shape.n_artists),
    )


def _distinct(sample: list[pa.StringArray]) -> tuple[list[tuple[float, float]], int, int]:
    """Return the curve of distinct names over rows, a name's bytes on average, and the rows of the most frequent.

    A point of the curve is the expected number of distinct names in a random part of the rows, computed from how often
    each name was seen (Hurlbert 1971, rarefaction). Drawing one such part would add noise, and extrapolating two
    hundredfold from it would multiply that noise.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    artists = pa.chunked_array(sample, pa.string()).combine_chunks().dictionary_encode()
    n_rows, counts = len(artists), np.bincount(artists.indices.to_numpy())
    curve = [(n_rows / step, float(np.sum(1 - (1 - 1 / step) ** counts))) for step in _THINNED]
    n_bytes = pc.sum(pc.binary_length(artists.dictionary)).as_py() or 0
    return curve, -(-n_bytes // max(len(artists.dictionary), 1)), int(counts.max(initial=0))


def _longest(sample: list[pa.StringArray]) -> int:
    """Return the bytes of the longest name."""
    import pyarrow.compute as pc

    return max((pc.max(pc.binary_length(names)).as_py() or 0 for names in sample), default=0)


def _places(file_bytes: Sequence[int]) -> dict[int, list[int]]:
    """Return where pieces begin, by file: evenly over the bytes of all files, and one in each of a few files."""
    step = max(_PIECE_BYTES, -(-sum(file_bytes) // _PIECES))
    places, begin = {}, 0
    for number, size in enumerate(file_bytes):
        offsets = list(range(-begin % step, size, step))
        if size and not offsets and len(file_bytes) <= _PIECES:
            offsets = [0]
        if offsets:
            places[number] = offsets
        begin += size
    return places


def _look_at(file: SourceFile, offsets: Sequence[int], schema: Schema, sample: _Sample) -> None:
    """Add the lines that start in the pieces at these offsets."""
    with open_ranges(file.path) as read:
        for start in offsets:
            end = min(start + _PIECE_BYTES, file.size_bytes)
            sample.add(sample_lines(read, start, end, schema), schema, at_start=start == 0)


def _look_at_groups(files: Sequence[SourceFile], schema: Schema, sample: _Sample) -> int:
    """Add the first rows of groups spread over a columnar source; return the bytes that all rows count for."""
    from lastfm_dask.interactions.columnar_reader import read_columns
    from lastfm_dask.interactions.row_groups import close_file

    groups = _groups(files, schema)
    chosen = groups[:: -(-len(groups) // _PIECES) or 1]
    for path, start, rows, texts in chosen:
        n_rows = min(
            rows, _SAMPLE_ROWS // len(chosen), rows * (_PIECES * _PIECE_BYTES // len(chosen)) // max(texts, 1)
        )
        n_rows = max(1, n_rows)
        sample.add_rows(read_columns(path, start, start + n_rows, schema), n_rows * ROW_BYTES)
    close_file()
    return sum(rows for _, _, rows, _ in groups) * ROW_BYTES


def _groups(files: Sequence[SourceFile], schema: Schema) -> list[tuple[str, int, int, int]]:
    """Return the groups of a columnar source: path, first row, rows, and the bytes of names as the files state them."""
    from lastfm_dask.interactions.row_groups import group_rows, text_bytes

    columns = dict(zip(schema.columns, schema.fields, strict=True))
    texts = [columns[role] for role in (USER, ARTIST, *((MBID,) if schema.with_mbid else ()))]
    by_file = zip(files, group_rows(files, schema.kind), text_bytes(files, schema.kind, texts), strict=True)
    return [
        (file.path, start, rows, n_bytes)
        for file, rows_of, bytes_of in by_file
        for start, rows, n_bytes in zip(accumulate(rows_of, initial=0), rows_of, bytes_of, strict=False)
        if rows
    ]


def _look_into(file: SourceFile, schema: Schema, sample: _Sample, n_bytes: int) -> None:
    """Add the first lines of a compressed file, and how many of its bytes they took."""
    with open_packed(file.path) as packed, unpacked(packed, file) as stream:
        lines, at_start = b"", True
        for _ in range(-(-n_bytes // _PIECE_BYTES)):
            read = stream.read(_PIECE_BYTES)
            sample.unpacked_bytes += len(read)
            lines += read
            piece = whole_lines(lines, schema) if read else lines
            if piece.endswith(b"\n") or not read:
                sample.add(piece, schema, at_start=at_start)
                lines, at_start = lines[len(piece) :], False
            if not read:
                break
        sample.packed_bytes += packed.tell() if read else file.size_bytes
        if lines:
            sample.add(lines, schema, at_start=at_start)

"""MusicBrainz ids by artist: the rows that have each, and the most frequent one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastfm_dask.ingestion.names import Names
from lastfm_dask.interactions.encoding import column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


class Mbids:
    """Counts the rows of each pair of artist and MBID over blocks, in file order; empty MBIDs do not count.

    Parameters
    ----------
    names : Names, optional
        Keeps the distinct MBIDs.
    """

    def __init__(self, names: Names | None = None) -> None:
        import numpy as np

        self._names = names or Names()
        self._pairs: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def n_pairs(self) -> int:
        """How many pairs of artist and MBID were counted."""
        return len(self._pairs)

    def add(self, batches: Sequence[pa.RecordBatch], artist_ids: Sequence[npt.NDArray[np.int32]]) -> None:
        """Add the pairs of blocks, whose artists have these global ids."""
        import numpy as np

        mbid_ids = self._names.merge([column(batch, "mbids") for batch in batches])
        pairs, rows = [self._pairs], [self._rows]
        for batch, artists, mbids in zip(batches, artist_ids, mbid_ids, strict=True):
            artist = artists[column(batch, "mbid_artists")].astype(np.int64)
            pairs.append(artist << 32 | mbids[column(batch, "mbid_codes")])
            rows.append(column(batch, "mbid_rows").astype(np.int64))
        self._pairs, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
        self._rows = np.zeros(len(self._pairs), np.int64)
        np.add.at(self._rows, inverse, np.concatenate(rows))

    def most_frequent(self, n_artists: int) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
        """Return each artist's most frequent MBID (null for none) and how many it has.

        Ties go to the one that appeared first.
        """
        import numpy as np
        import pyarrow as pa

        names = self._names.array
        empty = self._names.find("")
        artist, mbid = self._pairs >> 32, self._pairs & 0xFFFFFFFF
        used = mbid != (-1 if empty is None else empty)
        artist, mbid, rows = artist[used], mbid[used], self._rows[used]
        order = np.lexsort((mbid, -rows, artist))
        first = np.ones(len(order), np.bool_)
        first[1:] = np.diff(artist[order]) != 0
        chosen = np.full(n_artists, -1, np.int64)
        chosen[artist[order][first]] = mbid[order][first]
        picked = names.take(pa.array(chosen, mask=chosen < 0)).combine_chunks()
        return picked, np.bincount(artist, minlength=n_artists).astype(np.int64)
